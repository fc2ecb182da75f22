"""The rewrite rules of `passes/simplify.py`, by subject."""

from graphkeras.passes.rules.arithmetic import ARITHMETIC
from graphkeras.passes.rules.picks import PICKS
from graphkeras.passes.rules.rule import Match, Rule, by_op
from graphkeras.passes.rules.shapes import SHAPES
from graphkeras.passes.rules.sums import SUMS
from graphkeras.passes.rules.windows import WINDOWS

RULES: tuple[Rule, ...] = (*ARITHMETIC, *SHAPES, *SUMS, *WINDOWS, *PICKS)
"""Every rule, in the order they are tried."""

__all__ = ["RULES", "Match", "Rule", "by_op"]
