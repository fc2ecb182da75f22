"""Initializers, by the distribution of what they make."""

from __future__ import annotations

import math

import keras as real_keras
import numpy as np
import pytest

import graphkeras as keras
from graphkeras import initializers

SHAPE = (3, 3, 40, 60)
FAN_IN, FAN_OUT = 9 * 40, 9 * 60
BY_VARIANCE = {
    "glorot_uniform": (2 / (FAN_IN + FAN_OUT), "uniform"),
    "glorot_normal": (2 / (FAN_IN + FAN_OUT), "truncated"),
    "he_uniform": (2 / FAN_IN, "uniform"),
    "he_normal": (2 / FAN_IN, "truncated"),
    "lecun_uniform": (1 / FAN_IN, "uniform"),
    "lecun_normal": (1 / FAN_IN, "truncated"),
    "random_normal": (0.05**2, "normal"),
    "random_uniform": (0.1**2 / 12, "uniform"),
}


@pytest.mark.parametrize("name", BY_VARIANCE)
def test_mean_variance_and_range(name: str) -> None:
    variance, kind = BY_VARIANCE[name]
    values = initializers.get(name)(SHAPE)
    count = values.size
    assert values.dtype == np.float32
    assert abs(values.mean()) < 5 * math.sqrt(variance / count)
    assert values.var() == pytest.approx(variance, rel=0.03)
    if kind == "uniform":
        assert np.abs(values).max() <= math.sqrt(3 * variance) * (1 + 1e-6)
    if kind == "truncated":
        assert np.abs(values).max() <= 2 * math.sqrt(variance) / 0.8796 + 1e-6


@pytest.mark.parametrize("name", [*BY_VARIANCE, "truncated_normal", "orthogonal"])
def test_same_quantiles_as_keras(name: str) -> None:
    grid = np.linspace(0.02, 0.98, 25)
    ours = np.quantile(initializers.get(name)(SHAPE), grid)
    theirs = np.quantile(np.asarray(real_keras.initializers.get(name)(SHAPE)), grid)
    assert np.abs(ours - theirs).max() < 0.03 * np.abs(theirs).max()


def test_constants() -> None:
    assert initializers.Zeros()((2,)).tolist() == [0, 0]
    assert initializers.Ones()((2,), dtype="int32").dtype == np.int32
    assert initializers.Constant(3.0)((2,)).tolist() == [3, 3]
    np.testing.assert_array_equal(initializers.Identity(2.0)((2, 3)), 2 * np.eye(2, 3))


def test_orthogonal_columns() -> None:
    q = initializers.Orthogonal(gain=2.0, seed=1)((6, 4))
    np.testing.assert_allclose(q.T @ q, 4 * np.eye(4), atol=1e-5)
    q = initializers.Orthogonal(seed=1)((4, 6))
    np.testing.assert_allclose(q @ q.T, np.eye(4), atol=1e-5)


def test_seeds() -> None:
    one, other = initializers.GlorotUniform(seed=1), initializers.GlorotUniform(seed=2)
    np.testing.assert_array_equal(one((3, 3)), initializers.GlorotUniform(seed=1)((3, 3)))
    assert not np.array_equal(one((3, 3)), other((3, 3)))
    assert not np.array_equal(
        initializers.GlorotUniform()((3, 3)), initializers.GlorotUniform()((3, 3))
    )


def test_the_global_seed_makes_layers_reproducible() -> None:
    def kernel() -> np.ndarray:
        keras.random.set_global_seed(7)
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).get_weights()[0]

    np.testing.assert_array_equal(kernel(), kernel())


def test_configs_round_trip() -> None:
    made = initializers.VarianceScaling(2.0, "fan_out", "uniform", seed=3)
    copy = initializers.deserialize(initializers.serialize(made))
    np.testing.assert_array_equal(copy((4, 5)), made((4, 5)))
    assert initializers.serialize(initializers.HeNormal(seed=1))["config"] == {"seed": 1}


def test_wrong_use() -> None:
    with pytest.raises(ValueError, match=r"Did you mean 'he_normal'"):
        initializers.get("he_norml")
    with pytest.raises(ValueError, match="mode must be one of fan_in"):
        initializers.VarianceScaling(mode="fan")
    with pytest.raises(ValueError, match=r"rank 2, received .* of rank 3"):
        initializers.Identity()((2, 2, 2))
    with pytest.raises(ValueError, match="rank 2 or more"):
        initializers.Orthogonal()((3,))


@pytest.mark.parametrize("name", [*BY_VARIANCE, "zeros", "ones", "constant", "orthogonal"])
def test_classes_have_the_lower_case_names_of_keras(name: str) -> None:
    ours, theirs = getattr(initializers, name), getattr(real_keras.initializers, name)
    assert ours.__name__ == theirs.__name__
