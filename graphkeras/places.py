"""Where in the user's program something happens: the nearest caller outside this package."""

from __future__ import annotations

import os
import sys
import warnings
from functools import cache
from types import FrameType

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


_NOT_THE_USERS = ("contextlib.py", "functools.py", "graphkeras")
"""Files between the user's and the package's; the last is the installed command."""


@cache
def _is_internal(filename: str) -> bool:
    return (
        filename.startswith((_PACKAGE, "<frozen")) or os.path.basename(filename) in _NOT_THE_USERS
    )


def user_place(skip: int = 1, stop: FrameType | None = None) -> tuple[str, int] | None:
    """File and line of the nearest caller outside this package.

    Args:
        skip: frames to pass over at once.
        stop: give up at this frame.

    Returns:
        The place, or None where `stop` or the end of the stack comes first.
    """
    frame: FrameType | None = sys._getframe(skip)
    while frame is not None and frame is not stop:
        if not _is_internal(frame.f_code.co_filename):
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return None


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warns, naming the user's line and not one of this package.

    Args:
        message: what is wrong, and what to do.
        category: class of the warning.
    """
    level = 2
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_internal(frame.f_code.co_filename):
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)
