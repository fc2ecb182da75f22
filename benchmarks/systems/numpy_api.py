"""NumPy: matrix products by its BLAS."""

from __future__ import annotations

import numpy as np

from benchmarks.systems.calls import repeated
from benchmarks.work import Prepared, Product, Work, sample_of


def prepare(work: Work) -> Prepared:
    """A matrix product into memory that is there already."""
    if not isinstance(work, Product):
        raise NotImplementedError(f"NumPy has no call for {work}")
    x, w, dy = work.arrays()
    a, b = {
        "forward": (x, w),
        "input gradient": (dy, w.T),
        "weight gradient": (x.T, dy),
    }[work.direction]
    result = np.matmul(a, b)
    return repeated(lambda: np.matmul(a, b, out=result), sample_of(result))
