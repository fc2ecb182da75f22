"""Every function of `keras.ops` gives the numbers, shapes and dtypes of the real Keras."""

from __future__ import annotations

from typing import Any

import keras as real_keras
import numpy as np
import pytest

import graphkeras as keras
from tests.ops.cases import Case, cases


def leaves(result: Any) -> list[np.ndarray]:
    if isinstance(result, (list, tuple)):
        return [np.asarray(r) for r in result]
    return [np.asarray(result)]


@pytest.mark.parametrize("case", cases(), ids=str)
def test_same_as_keras(case: Case) -> None:
    ours = leaves(getattr(keras.ops, case.name)(*case.args, **case.kwargs))
    theirs = leaves(getattr(real_keras.ops, case.name)(*case.args, **case.kwargs))
    assert len(ours) == len(theirs)
    for mine, wanted in zip(ours, theirs, strict=True):
        assert mine.shape == wanted.shape
        if case.name not in ("size", "ndim", "shape"):
            assert mine.dtype == wanted.dtype
        np.testing.assert_allclose(mine, wanted, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    "key",
    [
        0, -1, slice(1, 3), slice(None, None, 2), slice(None, None, -1), (slice(None), 1),
        (..., 0), (None, slice(None)), (0, ..., None), (slice(3, 0, -2), slice(1, None)),
        (slice(-2, None), -1, 2), np.array([0, 2]), (slice(None), np.array([1, 1])),
    ],
    ids=str,
)  # fmt: skip
def test_get_item_is_numpys(key: Any) -> None:
    x = np.arange(60.0, dtype="float32").reshape(4, 5, 3)
    np.testing.assert_array_equal(keras.ops.get_item(x, key), x[key])


@pytest.mark.parametrize(
    "a", ["bool", "int8", "int32", "int64", "uint8", "float32", "int", "float"]
)
@pytest.mark.parametrize("b", ["bool", "int16", "uint8", "int32", "float32", "int", "float"])
def test_dtypes_meet_as_in_keras(a: str, b: str) -> None:
    def known(name: str) -> Any:
        return {"int": int, "float": float}.get(name, name)

    # The JAX backend has no 64-bit types unless asked, so 64 bits are compared by their kind.
    wanted = real_keras.backend.result_type(known(a), known(b))
    ours = keras.backend.result_type(a, b)
    assert ours == wanted or (a == "int64" and ours == "int64" and wanted.startswith("int"))
