"""The node with a body: what fusion makes and code generation prints as one kernel."""

from __future__ import annotations

from collections.abc import Sequence

from graphkeras.ir.op import Array, Attr, Attrs, Kind, Op, Sizes, register
from graphkeras.ir.ops.common import fail
from graphkeras.ir.types import TensorType


def _infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    fail("fused", "its result types come from its body; build it with Builder.fused")


def _reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    fail("fused", "its body is on the node; run it with graphkeras.ir.evaluate")


register(
    Op(
        "fused",
        Kind.FUSED,
        "The body graph applied to the operands, computed by one kernel; see `passes.fuse`.",
        _infer,
        _reference,
        attrs=(
            Attr("pattern", str, "loop"),
            Attr("rows", int, 0),
            Attr("space", tuple, ()),
            Attr("not_fused", tuple, ()),
        ),
    )
)
