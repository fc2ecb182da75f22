"""Every way to write a contraction's kernel computes what the evaluator does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphkeras import config
from graphkeras.codegen.cpu.contract import BY_MODEL, Choices
from graphkeras.codegen.generate import generate, variants
from graphkeras.compiler import optimize
from graphkeras.ir import Builder, Graph, Node, Size, TensorType
from graphkeras.ir.evaluate import evaluate
from graphkeras.passes.numerics import relative_error
from graphkeras.runtime.executable import Executable
from tests.codegen.test_contractions import (
    CONVOLUTIONS,
    CPUS,
    PRODUCTS,
    SAME,
    Case,
    convolution,
    depthwise,
    input_arrays,
)

N = Size.symbol("N")


def pooled() -> Case:
    b = Builder("pooled")
    x, w = b.input(TensorType((N, 9, 7, 3)), "x"), b.input(TensorType((3, 3, 3, 35)), "w")
    ones = {"strides": (1, 1), "lhs_dilation": (1, 1), "rhs_dilation": (1, 1), "groups": 1}
    y = b.emit("tanh", b.emit("conv", x, w, padding=((1, 1), (1, 1)), **ones))
    kind = {"window": (1, 2, 2, 1), "strides": (1, 2, 2, 1), "padding": ((0, 0),) * 4}
    return Case(b.build([b.emit("window_max", y, **kind)]), [{"N": n} for n in (1, 3)])


CASES = {
    **{
        name: PRODUCTS[name]
        for name in (
            "run-time sizes",
            "sum over the batch",
            "rows a page apart",
        )
    },
    **{
        name: CONVOLUTIONS[name]
        for name in (
            "3x3 same",
            "1x1",
            "short lines share a tile",
            "kernel gradient",
            "kernel gradient of large images",
            "kernel gradient, threads share panels",
        )
    },
    **{
        name: CONVOLUTIONS[name]
        for name in ("depthwise, a line in tiles", "depthwise, dilated image", "depthwise 1D")
    },
    "pooled": pooled(),
}


def contraction(graph: Graph) -> tuple[Graph, Node]:
    """The scheduled graph, and its node that is a contraction."""
    scheduled = optimize(graph).records[-1].after
    (node,) = [n for n in scheduled.nodes if n.body and n.attrs["pattern"] == "contract"]
    return scheduled, node


def check(case: Case, graph: Graph, node: Node, choices: Choices) -> None:
    executable = Executable(generate(graph, {node: choices}))
    for sizes in case.sizes:
        arrays = input_arrays(case.graph, sizes)
        (expected,) = evaluate(case.graph, arrays)
        (received,) = executable(arrays)
        assert relative_error(expected, received) < 2e-5, (str(choices), sizes)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("name", CASES)
def test_variants_worth_timing(name: str, cpu: str) -> None:
    case = CASES[name]
    graph, node = contraction(case.graph)
    with config.override(cpu=cpu):
        found = variants(node)
        texts = {
            generate(graph, {node: choices}).launches[-1].kernel.text: choices
            for choices in (BY_MODEL, *found)
        }
        assert len(texts) > 4
        # Other instruction sets have the same loops: a few of their kernels are enough.
        for choices in list(texts.values())[1 :: 6 if cpu else 1]:
            check(case, graph, node, choices)


def any_choices(rng: np.random.Generator) -> Choices:
    """Some choices, whether they fit or not."""
    fields: dict[str, list[Any]] = {
        "rows": [1, 2, 5, 14],
        "vectors": [1, 2, 4],
        "k_steps": [1, 7, 64, 100_000],
        "a_in_place": [False, True],
        "b_in_place": [False, True],
        "b_elements": [1, 1000, 1 << 22],
        "c_elements": [1, 1000, 1 << 22],
        "view_elements": [1, 1000, 1 << 22],
        "shared": ["m", "n"],
    }
    chosen = {name: values[rng.integers(len(values))] for name, values in fields.items()}
    return Choices(**{name: value for name, value in chosen.items() if rng.random() < 0.6})


@pytest.mark.parametrize("seed", range(24))
def test_any_choices(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size, channels, filters = (int(rng.integers(1, top)) for top in (12, 9, 70))
    window = int(rng.integers(1, min(size, 3) + 1))
    attrs: dict[str, Any] = SAME if window == 3 and seed % 3 else {}
    strides = (int(rng.integers(1, 3)), 1)
    kernel = (window, window, channels, filters)
    case = convolution(
        (size, size + 1, channels), kernel, gradient=seed % 4 == 3, strides=strides, **attrs
    )
    graph, node = contraction(case.graph)
    check(case, graph, node, any_choices(rng))


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_any_choices_for_single_channels(seed: int, gradient: bool) -> None:
    rng = np.random.default_rng(seed)
    height, width, channels = (int(rng.integers(6, top)) for top in (24, 24, 80))
    strides = (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
    case = depthwise((height, width, channels), gradient=gradient, strides=strides, **SAME)
    graph, node = contraction(case.graph)
    fields = {"lines": (1, 2, 5, 40), "rows": (1, 3, 40), "vectors": (1, 2, 9)}
    chosen = {name: int(rng.choice(values)) for name, values in fields.items()}
    check(case, graph, node, Choices(**chosen))


def test_the_source_tells_what_was_chosen() -> None:
    graph, node = contraction(CASES["1x1"].graph)
    chosen = generate(graph, {node: Choices(rows=3, a_in_place=False)}).launches[-1].kernel
    assert "chosen by timing: rows 3, a_in_place False" in chosen.comment
    assert "chosen by timing" not in generate(graph).launches[-1].kernel.comment
