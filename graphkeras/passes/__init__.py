"""Passes over graphs: one file a pass, and the manager that runs them.

A file is loaded when something in it is first used: tracing needs one pass, and a program from
the cache none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkeras.lazy import loader

if TYPE_CHECKING:
    from graphkeras.passes.autodiff import Autodiff, GradientError, gradients
    from graphkeras.passes.batch_moments import BatchMoments
    from graphkeras.passes.cse import CommonSubexpressions
    from graphkeras.passes.dce import DeadCodeElimination
    from graphkeras.passes.fold_constants import FoldConstants
    from graphkeras.passes.fold_scales import FoldScales
    from graphkeras.passes.fuse import Fuse
    from graphkeras.passes.manager import PassError, PassManager, PassNumericsError, PassRecord
    from graphkeras.passes.registry import PASSES, parse_pass
    from graphkeras.passes.schedule import Schedule
    from graphkeras.passes.simplify import Simplify
    from graphkeras.passes.skip_unread import SkipUnread
    from graphkeras.passes.spec import Pass, pass_text
    from graphkeras.passes.split_products import SplitProducts
    from graphkeras.passes.split_reductions import SplitReductions
    from graphkeras.passes.winograd import Winograd

_FILES = {
    "autodiff": "Autodiff GradientError gradients",
    "batch_moments": "BatchMoments",
    "cse": "CommonSubexpressions",
    "dce": "DeadCodeElimination",
    "fold_constants": "FoldConstants",
    "fold_scales": "FoldScales",
    "fuse": "Fuse",
    "manager": "PassError PassManager PassNumericsError PassRecord",
    "registry": "PASSES parse_pass",
    "schedule": "Schedule",
    "simplify": "Simplify",
    "skip_unread": "SkipUnread",
    "spec": "Pass pass_text",
    "split_products": "SplitProducts",
    "split_reductions": "SplitReductions",
    "winograd": "Winograd",
}
__getattr__, __dir__ = loader(__name__, _FILES)

__all__ = [
    "PASSES",
    "Autodiff",
    "BatchMoments",
    "CommonSubexpressions",
    "DeadCodeElimination",
    "FoldConstants",
    "FoldScales",
    "Fuse",
    "GradientError",
    "Pass",
    "PassError",
    "PassManager",
    "PassNumericsError",
    "PassRecord",
    "Schedule",
    "Simplify",
    "SkipUnread",
    "SplitProducts",
    "SplitReductions",
    "Winograd",
    "gradients",
    "parse_pass",
    "pass_text",
]
