"""Winners of contests, kept in the cache: a line of JSON each.

    <digest>.tuned    {"choices": {"vectors": 4}, "default": seconds, "seconds": seconds}
    <digest>.whole    the same of whole programs, without choices

The digest tells everything that decides the contest. Entries are read and written as those of
kernels are: several processes may hold the same contest at once, and behind a damaged entry it
is held again.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from graphkeras.codegen.cpu.contract import Choices
from graphkeras.frozen import frozen
from graphkeras.runtime import disk_cache


@frozen
class Winner:
    """What a contest found."""

    choices: Choices
    default: float
    """Seconds of the kernel that the cost model chooses."""
    seconds: float
    """Seconds of the kernel with `choices`."""


def read(key: str, kind: str = "tuned") -> Winner | None:
    """The winner that was kept, or None where there is none."""
    content = disk_cache.read(f"{key}.{kind}")
    if content is None:
        return None
    record = json.loads(content)
    return Winner(Choices(**record["choices"]), record["default"], record["seconds"])


def keep(key: str, winner: Winner, kind: str = "tuned") -> None:
    """Keeps the winner of a contest."""
    given = {name: value for name, value in asdict(winner.choices).items() if value is not None}
    record = {"choices": given, "default": winner.default, "seconds": winner.seconds}
    disk_cache.write(f"{key}.{kind}", json.dumps(record).encode())
