"""The command `graphkeras`: look inside a model, a machine, a failure.

    graphkeras show MODEL.py         the graph of a model's step as a picture
    graphkeras passes MODEL.py       what every pass of the compiler does to it
    graphkeras profile MODEL.py      where the time of a step goes, kernel by kernel
    graphkeras info                  what the machine offers, and where things are kept
    graphkeras reproduce FILE        a failed pass once more

Exit codes: 0, all went well; 1, the thing asked for failed; 2, wrong arguments or input.
"""

from graphkeras.cli.main import main

__all__ = ["main"]
