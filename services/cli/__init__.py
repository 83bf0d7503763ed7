"""The operator's `exchange` command: options and output. The work is done by the other packages."""
