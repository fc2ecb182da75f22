"""`python -m graphkeras`: the command line, see `graphkeras.cli`."""

from __future__ import annotations

import sys

from graphkeras.cli import main

if __name__ == "__main__":
    sys.exit(main())
