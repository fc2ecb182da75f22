"""Passes over graphs: one file a pass, and the manager that runs them."""

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
    "gradients",
    "parse_pass",
    "pass_text",
]
