#!/usr/bin/env bash
# Installs Chromium for tests/browser from the distribution, if it is missing and root runs this on Debian or Ubuntu.
# Elsewhere prints the line to type and exits 0: those tests are then skipped, unless TEST_BROWSER is set.
set -euo pipefail

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then exit 0; fi
done
install="apt-get install --yes --no-install-recommends chromium fonts-dejavu-core"
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    echo "installing chromium" >&2
    if apt-get update --quiet --quiet && $install --quiet --quiet >/dev/null; then exit 0; fi
fi
echo "====================================================================================" >&2
echo "NO BROWSER: tests/browser will not run. As root: apt-get update && $install" >&2
echo "====================================================================================" >&2
if [ -n "${TEST_BROWSER:-}" ]; then exit 1; fi
