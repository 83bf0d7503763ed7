"""Signals that request an ordered stop, and holding them back while a process starts.

The imports of a service take a second, on a busy machine several. Until it has handlers, SIGTERM
would end it in the middle; as process 1 of a container it would ignore the signal.
"""

import signal


def stop_signals() -> list[signal.Signals]:
    """Signals that request an ordered stop; SIGHUP, of a closed terminal, not under `nohup`."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return numbers


def hold_stop_signals() -> None:
    """Keep them pending until `admit_stop_signals`. Call it before anything else is imported."""
    signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals())


def admit_stop_signals() -> None:
    """Deliver those that came meanwhile to their handlers, and all later ones."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stop_signals())
