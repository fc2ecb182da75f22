"""Activations against the real Keras."""

from __future__ import annotations

import keras as real_keras
import numpy as np
import pytest

import graphkeras as keras

X = np.linspace(-8, 8, 84, dtype="float32").reshape(6, 14)
NAMES = [
    "relu",
    "leaky_relu",
    "relu6",
    "softmax",
    "log_softmax",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "swish",
    "sigmoid",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "tanh",
    "softplus",
    "softsign",
    "exponential",
    "linear",
    "mish",
    "glu",
    "hard_shrink",
    "hard_tanh",
    "log_sigmoid",
    "soft_shrink",
    "squareplus",
    "tanh_shrink",
]


@pytest.mark.parametrize("name", NAMES)
def test_same_as_keras_by_name(name: str) -> None:
    ours = keras.activations.get(name)(X)
    np.testing.assert_allclose(ours, real_keras.activations.get(name)(X), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("relu", {"negative_slope": 0.1}),
        ("relu", {"max_value": 6}),
        ("relu", {"max_value": 2.5}),
        ("relu", {"threshold": 1.0}),
        ("relu", {"negative_slope": 0.2, "threshold": -1.0, "max_value": 3.0}),
        ("leaky_relu", {"negative_slope": 0.3}),
        ("elu", {"alpha": 0.5}),
        ("celu", {"alpha": 2.0}),
        ("gelu", {"approximate": True}),
        ("softmax", {"axis": 0}),
        ("log_softmax", {"axis": 0}),
        ("glu", {"axis": 0}),
        ("hard_shrink", {"threshold": 2.0}),
        ("soft_shrink", {"threshold": 2.0}),
        ("threshold", {"threshold": 1.0, "default_value": -3.0}),
        ("squareplus", {"b": 1.0}),
    ],
    ids=str,
)
def test_arguments(name: str, kwargs: dict[str, float]) -> None:
    ours = getattr(keras.activations, name)(X, **kwargs)
    theirs = getattr(real_keras.activations, name)(X, **kwargs)
    np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)


def test_none_is_linear_and_functions_pass() -> None:
    assert keras.activations.get(None) is keras.activations.linear
    assert keras.activations.get(np.tanh) is np.tanh
    assert keras.activations.serialize(keras.activations.relu) == "relu"
    assert keras.activations.deserialize("relu") is keras.activations.relu


def test_a_misspelt_name() -> None:
    with pytest.raises(ValueError, match=r"Unknown activation 'rellu'. Did you mean 'relu'"):
        keras.activations.get("rellu")
