#!/usr/bin/env bash
# Writes a small Debian as a tar to standard output; what it is doing goes to standard error.
# Needs root and debootstrap. DEBIAN_MIRROR replaces debootstrap's own mirror.
set -euo pipefail
SUITE="${1:-bookworm}"

[ "$(id -u)" -eq 0 ] || { echo "images: a base image is made by root only" >&2; exit 1; }
command -v debootstrap >/dev/null || {
    echo "images: debootstrap is missing: apt-get install debootstrap" >&2
    exit 1
}

root="$(mktemp -d)"
trap 'rm -rf --one-file-system "$root"' EXIT
# Every fiftieth line of several hundred shows that it goes on.
debootstrap --variant=minbase --include=ca-certificates "$SUITE" "$root" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} |
    awk 'NR % 50 == 1 { print "    " $0; fflush() }' >&2

# Where a proxy signs TLS anew, package clients in a build must trust what this machine trusts.
for certificate in /usr/local/share/ca-certificates/*.crt; do
    [ -e "$certificate" ] && cp "$certificate" "$root/usr/local/share/ca-certificates/"
done
chroot "$root" update-ca-certificates >/dev/null 2>&1

# Documentation is read elsewhere. The folders stay: some packages refuse to install without them.
printf 'path-exclude=/usr/share/%s/*\n' doc info locale man/?? >"$root/etc/dpkg/dpkg.cfg.d/small"
find "$root"/usr/share/{doc,info,locale} -mindepth 1 -delete
find "$root/usr/share/man" -type f -delete
find "$root/var/cache/apt" "$root/var/lib/apt/lists" -type f -delete

tar --directory "$root" --numeric-owner --one-file-system --create .
