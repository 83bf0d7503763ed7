"""Replaces itself by another program, which the kernel kills when the parent process ends.

A script (`parent_death.py <parent pid> <program> <argument>...`) with no imports of the project.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
EXIT_NOT_FOUND = 127


def main(arguments: list[str]) -> int:
    """Return only on failure: otherwise this process has become the program."""
    parent_pid, command = int(arguments[0]), arguments[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        print(f"parent_death: prctl: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
        return 1
    # The parent may have died before the line above took effect; then no signal would ever come.
    if os.getppid() != parent_pid:
        return 1
    # Python ignores these two, and an ignored signal stays ignored in the next program.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        print(f"parent_death: {command[0]}: {error.strerror}", file=sys.stderr)
    return EXIT_NOT_FOUND


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
