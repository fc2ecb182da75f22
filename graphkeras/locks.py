"""Locks that a forked child finds free.

A thread that holds a lock at the moment of a fork does not exist in the child, so nobody there
would ever release it.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any, TypeVar

_AnyLock = TypeVar("_AnyLock", bound="threading.Lock | threading.RLock")

_locks: weakref.WeakSet[Any] = weakref.WeakSet()


def _free_all() -> None:
    for lock in _locks:
        # What Python's own modules call after a fork.
        lock._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_all)


def fork_safe(lock: _AnyLock) -> _AnyLock:
    """The same lock, to be free in children that are forked while it is held."""
    _locks.add(lock)
    return lock
