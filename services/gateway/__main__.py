"""`python -m services.gateway`: the process, which holds stop signals while it imports itself."""

import sys

from services.runtime.stop_signals import hold_stop_signals

if __name__ == "__main__":
    hold_stop_signals()
    from services.gateway.process import main

    sys.exit(main())
