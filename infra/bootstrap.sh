#!/usr/bin/env bash
# Brings a plain Debian or Ubuntu machine to what the exchange needs: Maven, make, curl and Python's
# venv. Java is one of the Python packages. Does nothing when all is there; when not root, prints the
# line that installs what is missing, and exits 1. Every make target runs it before it installs.
set -euo pipefail

wanted=()
if ! command -v mvn >/dev/null; then wanted+=(maven); fi
if ! command -v curl >/dev/null; then wanted+=(curl); fi
if ! command -v make >/dev/null; then wanted+=(make); fi

python="${PYTHON:-python3}"
if ! command -v "$python" >/dev/null; then
    wanted+=(python3 python3-venv)
elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    wanted+=(python3-venv)
fi

if [ "${#wanted[@]}" -gt 0 ]; then
    install="apt-get install --yes --no-install-recommends ${wanted[*]}"
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "Missing on this machine. As root: apt-get update && $install" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    # The lists of a plain machine may be empty or too old to install from.
    echo "installing ${wanted[*]}" >&2
    apt-get update --quiet --quiet
    $install --quiet --quiet >/dev/null
fi

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "$python is $("$python" --version 2>&1); the exchange needs Python 3.11 or newer." >&2
    exit 1
fi
