"""Names: automatic ones (`dense`, `dense_1`), and paths from the scopes they are made in."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_WORD_START = re.compile(r"(.)([A-Z][a-z0-9]+)")
_LOWER_UPPER = re.compile(r"([a-z])([A-Z])")


class _Names(threading.local):
    """Counters and open scopes of one thread."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.scopes: list[tuple[str, object]] = []


_names = _Names()


def to_snake_case(name: str) -> str:
    """`BatchNormalization` -> `batch_normalization`, `Conv2D` -> `conv2d`."""
    name = re.sub(r"\W+", "", name)
    name = _WORD_START.sub(r"\1_\2", name)
    return _LOWER_UPPER.sub(r"\1_\2", name).lower()


def uid(prefix: str) -> int:
    """A number that grows by one with each call for the same prefix, from 1."""
    count = _names.counts.get(prefix, 0) + 1
    _names.counts[prefix] = count
    return count


def auto_name(prefix: str) -> str:
    """The next free name of a kind: `dense`, `dense_1`, `dense_2`, ..."""
    prefix = to_snake_case(prefix)
    count = uid(prefix)
    return prefix if count == 1 else f"{prefix}_{count - 1}"


def reset() -> None:
    """Forgets the names given so far: the next layer is `dense` again."""
    _names.counts.clear()


@contextmanager
def name_scope(name: str, owner: object = None) -> Iterator[None]:
    """Variables made inside have `name/` in their path.

    A scope opened again by the same `owner` directly inside itself adds nothing.
    """
    if owner is not None and _names.scopes and _names.scopes[-1][1] is owner:
        yield
        return
    _names.scopes.append((name, owner))
    try:
        yield
    finally:
        _names.scopes.pop()


def current_path() -> str:
    """The open scopes joined by `/`; empty outside all of them."""
    return "/".join(name for name, _ in _names.scopes)
