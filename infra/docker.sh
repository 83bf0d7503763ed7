#!/usr/bin/env bash
# A Docker engine for this machine.
#
#   bash infra/docker.sh start    use the engine that answers; else install Debian's and start it (root)
#   bash infra/docker.sh stop     end the engine that `start` started here; any other is left alone
#   bash infra/docker.sh status   exit code 0 when an engine answers
#
# `start` ends with 3 when this machine cannot run an engine, and says why.
set -euo pipefail
cd "$(dirname "$0")/.."

STATE="$PWD/.local/docker"
PID_FILE="$STATE/dockerd.pid"
LOG="$STATE/dockerd.log"
ANSWER_LIMIT_S=10
START_LIMIT_S=60
STOP_LIMIT_S=30
CANNOT=3

answers() {
    command -v docker >/dev/null && timeout "$ANSWER_LIMIT_S" docker version >/dev/null 2>&1
}

cannot() {
    echo "docker: $*" >&2
    exit "$CANNOT"
}

install_engine() {
    local wanted=()
    command -v dockerd >/dev/null || wanted+=(docker.io)
    command -v iptables >/dev/null || wanted+=(iptables)
    command -v debootstrap >/dev/null || wanted+=(debootstrap)
    docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null ||
        wanted+=(docker-compose)
    [ "${#wanted[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null || cannot "no engine answers, and there is no apt-get to install one with"
    echo "docker: installing ${wanted[*]}" >&2
    export DEBIAN_FRONTEND=noninteractive
    {
        # The lists of a plain machine may be empty or too old to install from.
        apt-get update --quiet
        apt-get install --yes --no-install-recommends "${wanted[@]}"
    } >"$STATE/install.log" 2>&1 || {
        tail -n 20 "$STATE/install.log" >&2
        cannot "the packages cannot be installed (see above); install a Docker engine by hand"
    }
}

# The pid of the engine that was started here, if it is still that program.
ours() {
    local pid
    pid="$(cat "$PID_FILE" 2>/dev/null)" || return 1
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] && echo "$pid"
}

start() {
    if answers; then
        echo "docker: an engine answers" >&2
        return
    fi
    [ "$(id -u)" -eq 0 ] || cannot "no engine answers; as root: bash infra/docker.sh start"
    mkdir -p "$STATE"
    install_engine
    # Freed of this shell and its terminal: Ctrl-C ends a test run, not the engine under it.
    setsid dockerd >"$LOG" 2>&1 </dev/null &
    local pid=$!
    echo "$pid" >"$PID_FILE"
    for ((waited = 0; waited < START_LIMIT_S; waited++)); do
        if answers; then
            echo "docker: engine started (pid $pid, log $LOG)" >&2
            return
        fi
        kill -0 "$pid" 2>/dev/null || break
        sleep 1
    done
    stop
    tail -n 15 "$LOG" >&2
    cannot "the engine does not run on this machine; its last words are above, its log is $LOG"
}

stop() {
    local pid
    if ! pid="$(ours)"; then
        echo "docker: no engine was started from here" >&2
        rm -f "$PID_FILE"
        return
    fi
    kill -TERM "$pid"
    for ((waited = 0; waited < STOP_LIMIT_S; waited++)); do
        if ! kill -0 "$pid" 2>/dev/null; then
            rm -f "$PID_FILE"
            echo "docker: engine stopped" >&2
            return
        fi
        sleep 1
    done
    echo "docker: the engine (pid $pid) does not stop; see $LOG" >&2
    exit 1
}

status() {
    if ! answers; then
        cannot "no engine answers; start yours, or as root: bash infra/docker.sh start"
    fi
}

case "${1-}" in
start | stop | status) "$1" ;;
*)
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
