"""`graphkeras reproduce`: the pass that failed, on the graph it failed on."""

from __future__ import annotations

import sys

from graphkeras.cli.errors import CommandError
from graphkeras.passes.manager import PassError
from graphkeras.passes.manager import reproduce as run_again


def reproduce(file: str) -> int:
    """Runs the pass of a reproducer; returns 1 where it fails again."""
    try:
        record = run_again(file)
    except FileNotFoundError:
        raise CommandError(f"there is no file {file!r}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"cannot read {file!r}: {error}") from error
    except PassError as error:
        print(error, file=sys.stderr)
        return 1
    except ValueError as error:
        raise CommandError(str(error)) from error
    change = f"{record.nodes_before} nodes before, {record.nodes_after} after"
    print(f"pass {record.spec} went well on graph {record.before.name!r}: {change}")
    return 0
