"""The machine's rate of multiply-adds: as many independent chains as there are accumulators.

A core starts one or two vector multiply-adds a cycle, each of which takes about four cycles. A
register tile keeps `rows x vectors` of them under way; so does this loop, with nothing else in
it, which makes its rate the roof that a tile can reach.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from graphkeras.native.intrinsic import Intrinsic, declared

I64 = ir.IntType(64)


def fma_loop(lanes: int, chains: int) -> Intrinsic:
    """`fma(k, p)`: `2 * lanes * chains * k` float32 operations on registers.

    `p` points to `lanes * (chains + 2)` float32, read at the start and written at the end: the
    chains' values, then the factor and the summand of every step.
    """
    vector = ir.VectorType(ir.FloatType(), lanes)

    def emit(builder: Any, arguments: list[Any]) -> None:
        steps, memory = arguments
        pointer = builder.bitcast(memory, vector.as_pointer())
        places = [builder.gep(pointer, [ir.Constant(I64, i)]) for i in range(chains + 2)]
        *start, factor, summand = [builder.load(place, align=4) for place in places]
        # fmuladd, not fma: on a CPU without FMA the latter is a library call per lane.
        add = declared(builder, f"llvm.fmuladd.v{lanes}f32", vector, [vector] * 3)
        before = builder.block
        body, done = (builder.append_basic_block(name) for name in ("fma.body", "fma.done"))
        builder.branch(body)
        builder.position_at_end(body)
        step = builder.phi(I64)
        values = [builder.phi(vector) for _ in start]
        following = [builder.call(add, [value, factor, summand]) for value in values]
        after = builder.add(step, ir.Constant(I64, 1))
        builder.cbranch(builder.icmp_signed("<", after, steps), body, done)
        step.add_incoming(I64(0), before)
        step.add_incoming(after, body)
        for phi, first, again in zip(values, start, following, strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(again, body)
        builder.position_at_end(done)
        for place, value in zip(places[:chains], following, strict=True):
            builder.store(value, place, align=4)

    return Intrinsic("fma", ("int64", "float32*"), "void", emit)
