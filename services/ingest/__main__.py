"""`python -m services.ingest`: the process, which holds stop signals while it imports itself."""

import sys

from services.runtime.stop_signals import hold_stop_signals

if __name__ == "__main__":
    hold_stop_signals()
    from services.ingest.process import main

    sys.exit(main())
