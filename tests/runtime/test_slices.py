"""Launches that take turns on slices of their work give the bits that they give one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from graphkeras.codegen import emit
from graphkeras.codegen.kernel_ir import ParallelFor
from graphkeras.compiler import compile_graph
from graphkeras.ir import Builder, Graph, Size, TensorType
from graphkeras.runtime import pool, slices
from graphkeras.runtime.executable import Executable

Array = NDArray[Any]

N = Size.symbol("N")
CONV = {
    "strides": (1, 1),
    "padding": ((1, 1), (1, 1)),
    "lhs_dilation": (1, 1),
    "rhs_dilation": (1, 1),
    "groups": 1,
}


def _fine(variable: Any, extent: Any, body: Any, work: Any, _grain: int, *rest: Any) -> ParallelFor:
    return ParallelFor(variable, extent, body, work, 1, *rest)


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    """Images of a few kilobytes are worth slices."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(emit, "ParallelFor", _fine)
        patch.setattr(slices, "LEAST_BYTES", 1024)
        patch.setattr(slices, "SLICE_BYTES", 8192)
        yield
    pool.set_num_threads(None)


def chain() -> Graph:
    """Images through a convolution, sums of each, a relu and a convolution, all written."""
    b = Builder("chain")
    x = b.input(TensorType((N, 9, 9, 16)), "x")
    w = b.input(TensorType((3, 3, 16, 16)), "w")
    y = b.emit("conv", b.emit("exp", x), w, **CONV)
    z = b.emit("conv", b.emit("relu", y), w, **CONV)
    dw = b.emit("conv_kernel_grad", y, z, kernel_size=(3, 3), **CONV)
    return b.build([y, z, b.emit("reduce_sum", z, axes=(1, 2)), dw])


def arrays(batch: int) -> list[Array]:
    rng = np.random.default_rng(batch)
    return [
        rng.standard_normal((batch, 9, 9, 16)).astype(np.float32),
        rng.standard_normal((3, 3, 16, 16)).astype(np.float32),
    ]


def turns(executable: Executable, batch: int, threads: int) -> list[int]:
    """How many launches take turns, for each one."""
    sizes = {"N": batch}
    return [int(row[2]) for row in executable._free_teams(sizes, sizes, threads)]


def test_neighbours_take_turns_where_images_are_cut_alike() -> None:
    executable = compile_graph(chain())
    assert max(turns(executable, 32, 1)) >= 3
    assert max(turns(executable, 32, 2)) >= 3
    # 37 images are not cut alike by rows and by images.
    assert max(turns(executable, 37, 2)) == 1


def test_bits_are_those_without_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    sliced = compile_graph(chain())
    monkeypatch.setattr(slices, "MOST_SLICES", 1)
    plain = compile_graph(chain())
    for batch in (1, 5, 16, 32, 37):
        monkeypatch.setattr(slices, "MOST_SLICES", 1)
        pool.set_num_threads(1)
        want = [a.tobytes() for a in plain(arrays(batch))]
        monkeypatch.setattr(slices, "MOST_SLICES", 16)
        for threads in (1, 2, 3, 4):
            pool.set_num_threads(threads)
            for _ in range(3):
                assert [a.tobytes() for a in sliced(arrays(batch))] == want


def test_a_team_that_came_together_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of a team of four, run by whoever came: each launch by itself."""
    monkeypatch.setattr(pool, "PATIENCE", 0)
    executable = compile_graph(chain())
    given = arrays(32)
    pool.set_num_threads(1)
    want = [a.tobytes() for a in executable(given)]
    pool.set_num_threads(4)
    for _ in range(50):
        assert [a.tobytes() for a in executable(given)] == want


def test_a_profile_has_each_launch_once() -> None:
    pool.set_num_threads(1)
    executable = compile_graph(chain())
    seconds = executable.launch_seconds(arrays(32), 3)
    assert seconds.shape == (3, executable.launch_count)
    assert np.all(seconds > 0)
