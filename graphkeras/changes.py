"""When variables change: stamps that are cheap to compare.

What was computed from variables stays right until one of them is written to. Every writer gives
the variable a new stamp *behind* the write, and who computes something remembers the stamps that
were there *before* it read::

    writer   write the numbers ─► new stamp          reader   note stamps ─► read the numbers

So a reader that comes in the middle of a write has noted an old stamp, and computes again. Stamps
are objects, compared by identity: no two writers can make equal ones, and an old one cannot come
back while somebody remembers it. That holds for any number of threads without a lock.
"""

from __future__ import annotations

from collections.abc import Sequence


class Change:
    """The last change of one variable."""

    __slots__ = ("stamp",)

    def __init__(self) -> None:
        self.stamp: object = object()


latest = Change()
"""The last change of any variable: while it is the same, nothing at all has changed."""


def mark(changed: Sequence[Change]) -> None:
    """Notes that variables were written to; to be called behind the write."""
    if not changed:
        return
    stamp = object()
    for change in changed:
        change.stamp = stamp
    latest.stamp = stamp


def stamps(watched: Sequence[Change]) -> list[object]:
    """The stamps of variables, to be compared with `is_current` later."""
    return [change.stamp for change in watched]


def is_current(known: Sequence[object], watched: Sequence[Change]) -> bool:
    """Whether none of the variables has changed since its stamp was noted."""
    return all(stamp is change.stamp for stamp, change in zip(known, watched, strict=True))
