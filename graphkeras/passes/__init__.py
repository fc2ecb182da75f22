"""Passes over graphs: one file a pass, and the manager that runs them.

A file is loaded when something in it is first used: tracing needs one pass, and a program from
the cache none.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphkeras.passes.autodiff import Autodiff, GradientError, gradients
    from graphkeras.passes.cse import CommonSubexpressions
    from graphkeras.passes.dce import DeadCodeElimination
    from graphkeras.passes.fold_constants import FoldConstants
    from graphkeras.passes.fuse import Fuse
    from graphkeras.passes.manager import PassError, PassManager, PassNumericsError, PassRecord
    from graphkeras.passes.registry import PASSES, parse_pass
    from graphkeras.passes.schedule import Schedule
    from graphkeras.passes.simplify import Simplify
    from graphkeras.passes.spec import Pass, pass_text
    from graphkeras.passes.split_reductions import SplitReductions
    from graphkeras.passes.winograd import Winograd

_NAMES = {
    "Autodiff": "autodiff",
    "GradientError": "autodiff",
    "gradients": "autodiff",
    "CommonSubexpressions": "cse",
    "DeadCodeElimination": "dce",
    "FoldConstants": "fold_constants",
    "Fuse": "fuse",
    "PassError": "manager",
    "PassManager": "manager",
    "PassNumericsError": "manager",
    "PassRecord": "manager",
    "PASSES": "registry",
    "parse_pass": "registry",
    "Schedule": "schedule",
    "Simplify": "simplify",
    "Pass": "spec",
    "pass_text": "spec",
    "SplitReductions": "split_reductions",
    "Winograd": "winograd",
}
"""Name -> the file it is in."""

__all__ = [
    "PASSES",
    "Autodiff",
    "CommonSubexpressions",
    "DeadCodeElimination",
    "FoldConstants",
    "Fuse",
    "GradientError",
    "Pass",
    "PassError",
    "PassManager",
    "PassNumericsError",
    "PassRecord",
    "Schedule",
    "Simplify",
    "SplitReductions",
    "Winograd",
    "gradients",
    "parse_pass",
    "pass_text",
]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
    globals()[name] = value
    return value
