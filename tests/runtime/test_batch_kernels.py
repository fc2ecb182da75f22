"""What the kernels of native batches do, run as Python."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from graphkeras.runtime import batch_kernels

LINE = batch_kernels.LINE


def numbers_at(address: int) -> Any:
    return ctypes.cast(address, ctypes.POINTER(ctypes.c_int64))


@pytest.mark.parametrize("threads", [2, 3, 4])
@pytest.mark.parametrize(
    ("size", "most", "at", "expected"),
    [
        pytest.param(3, 100, 0, [5, 0, 7], id="the next batch"),
        pytest.param(3, 2, 0, [5, 0], id="no more than there is time for"),
        pytest.param(3, 100, 3, [6, 1], id="a last batch that is smaller"),
        pytest.param(4, 100, 4, [], id="no next batch"),
    ],
)
def test_rows_of_the_next_batch_are_asked_for(
    threads: int,
    size: int,
    most: int,
    at: int,
    expected: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(batch_kernels, "ask_for", asked.append)
    monkeypatch.setattr(batch_kernels, "int64_at", numbers_at)
    order = np.array([4, 2, 3, 5, 0, 7, 6, 1], np.int64)
    begin = order.ctypes.data
    argv = [begin + 8 * at, size, begin + order.nbytes, most, 2, 10_000, 640, 150, 90_000, 8, 8]
    batch_kernels.ask_ahead(0, threads, argv)
    assert asked == [], "the first thread has work"
    for tid in range(1, threads):
        batch_kernels.ask_ahead(tid, threads, argv)
    rows = [10_000 + 640 * row + LINE * line for row in expected for line in range(3)]
    assert sorted(asked) == sorted([*rows, *(90_000 + 8 * row for row in expected)])
