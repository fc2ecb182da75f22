"""Regularizers and constraints against the real Keras."""

from __future__ import annotations

from typing import Any

import keras as real_keras
import numpy as np
import pytest

import graphkeras as keras

W = np.random.default_rng(0).normal(size=(5, 4)).astype("float32") * 2


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("L1", {}),
        ("L1", {"l1": 0.3}),
        ("L2", {}),
        ("L1L2", {"l1": 0.1, "l2": 0.2}),
        ("OrthogonalRegularizer", {"factor": 0.1}),
        ("OrthogonalRegularizer", {"factor": 0.1, "mode": "columns"}),
    ],
    ids=str,
)
def test_penalties(name: str, kwargs: dict[str, Any]) -> None:
    ours = getattr(keras.regularizers, name)(**kwargs)
    theirs = getattr(real_keras.regularizers, name)(**kwargs)
    assert float(ours(W)) == pytest.approx(
        float(theirs(real_keras.ops.convert_to_tensor(W))), rel=1e-5
    )
    copy = keras.regularizers.deserialize(keras.regularizers.serialize(ours))
    assert float(copy(W)) == float(ours(W))


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("MaxNorm", {}),
        ("MaxNorm", {"max_value": 1.0, "axis": 1}),
        ("NonNeg", {}),
        ("UnitNorm", {}),
        ("UnitNorm", {"axis": (0, 1)}),
        ("MinMaxNorm", {"min_value": 0.5, "max_value": 1.5, "rate": 0.7}),
    ],
    ids=str,
)
def test_projections(name: str, kwargs: dict[str, Any]) -> None:
    ours = getattr(keras.constraints, name)(**kwargs)
    theirs = getattr(real_keras.constraints, name)(**kwargs)
    np.testing.assert_allclose(ours(W), theirs(W), rtol=1e-5, atol=1e-6)
    copy = keras.constraints.deserialize(keras.constraints.serialize(ours))
    assert copy.get_config() == ours.get_config()


def test_names() -> None:
    assert keras.regularizers.get("l2").get_config() == {"l2": 0.01}
    assert keras.regularizers.get(None) is None
    assert isinstance(keras.constraints.get("max_norm"), keras.constraints.MaxNorm)


def test_wrong_use() -> None:
    with pytest.raises(ValueError, match="l1 must be a finite number of 0 or more"):
        keras.regularizers.L1(-1.0)
    with pytest.raises(ValueError, match="Did you mean 'orthogonal_regularizer'"):
        keras.regularizers.get("orthogonal_regulariser")
    with pytest.raises(ValueError, match="Did you mean 'NonNeg'"):
        keras.constraints.get("nonneg")
