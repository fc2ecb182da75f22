"""Every pass by name, for the command line and for reproducers."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from graphkeras.errors import did_you_mean, unknown_name
from graphkeras.ir.parse import parse_call
from graphkeras.passes.autodiff import Autodiff
from graphkeras.passes.batch_moments import BatchMoments
from graphkeras.passes.cse import CommonSubexpressions
from graphkeras.passes.dce import DeadCodeElimination
from graphkeras.passes.fold_constants import FoldConstants
from graphkeras.passes.fold_scales import FoldScales
from graphkeras.passes.fuse import Fuse
from graphkeras.passes.schedule import Schedule
from graphkeras.passes.simplify import Simplify
from graphkeras.passes.skip_unread import SkipUnread
from graphkeras.passes.spec import Pass
from graphkeras.passes.split_products import SplitProducts
from graphkeras.passes.split_reductions import SplitReductions
from graphkeras.passes.winograd import Winograd

PASSES: dict[str, type[Any]] = {
    which.name: which
    for which in (
        Autodiff,
        BatchMoments,
        CommonSubexpressions,
        DeadCodeElimination,
        FoldConstants,
        FoldScales,
        Fuse,
        Schedule,
        Simplify,
        SkipUnread,
        SplitProducts,
        SplitReductions,
        Winograd,
    )
}
"""The class of every pass."""


def parse_pass(text: str) -> Pass:
    """Inverse of `pass_text`: `"fold_constants{max_elements=9}"` -> the pass.

    Raises:
        ValueError: There is no pass of that name, it has no such option, it lacks one, or the
            text has the wrong form.
    """
    name, options = parse_call(text)
    if name not in PASSES:
        raise unknown_name("pass", name, PASSES)
    known = [field.name for field in fields(PASSES[name])]
    for option in options:
        if option not in known:
            raise ValueError(
                f"pass {name!r} has no option {option!r}; it has {', '.join(known) or 'none'}. "
                f"{did_you_mean(option, known)}".rstrip()
            )
    try:
        found: Pass = PASSES[name](**options)
    except TypeError as error:
        raise ValueError(f"pass {name!r}: {error}") from None
    return found
