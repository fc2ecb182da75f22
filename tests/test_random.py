"""`keras.random`: distributions, seeds and errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

import graphkeras as keras
from graphkeras import random
from graphkeras.ir import Size, TensorType
from graphkeras.ir.evaluate import evaluate
from graphkeras.trace import Trace

COUNT = 200_000


def test_uniform() -> None:
    x = random.uniform((COUNT,), minval=-1.0, maxval=3.0, seed=1)
    assert x.dtype == np.float32
    assert x.min() >= -1.0
    assert x.max() < 3.0
    assert x.mean() == pytest.approx(1.0, abs=0.02)
    assert x.var() == pytest.approx(16 / 12, rel=0.02)


def test_normal() -> None:
    x = random.normal((COUNT,), mean=2.0, stddev=3.0, seed=1)
    assert np.isfinite(x).all()
    assert x.mean() == pytest.approx(2.0, abs=0.05)
    assert x.std() == pytest.approx(3.0, rel=0.01)
    inside = np.mean(np.abs(x - 2.0) < 3.0)
    assert inside == pytest.approx(math.erf(math.sqrt(0.5)), abs=0.005)


def test_truncated_normal() -> None:
    x = random.truncated_normal((COUNT,), stddev=2.0, seed=1)
    assert np.abs(x).max() <= 4.0 + 1e-4
    assert x.std() == pytest.approx(2.0 * 0.8796, rel=0.01)


def test_randint_and_categorical() -> None:
    x = random.randint((COUNT,), 2, 6, seed=1)
    assert set(np.unique(x)) == {2, 3, 4, 5}
    logits = np.log(np.array([[0.1, 0.2, 0.7]], "float32"))
    drawn = random.categorical(logits, COUNT, seed=1)
    shares = np.bincount(drawn[0]) / COUNT
    np.testing.assert_allclose(shares, [0.1, 0.2, 0.7], atol=0.01)


def test_dropout_keeps_the_mean() -> None:
    x = random.dropout(np.ones((COUNT,), "float32"), 0.25, seed=1)
    assert set(np.unique(x)) == {np.float32(0.0), np.float32(1 / 0.75)}
    assert np.mean(x == 0) == pytest.approx(0.25, abs=0.01)
    rows = random.dropout(np.ones((50, 8), "float32"), 0.5, noise_shape=(None, 1), seed=1)
    assert (rows == rows[:, :1]).all()


def test_shuffle_is_a_permutation() -> None:
    x = np.arange(100)
    y = random.shuffle(x, seed=1)
    assert not np.array_equal(x, y)
    np.testing.assert_array_equal(np.sort(y), x)


def test_integers_repeat_and_generators_move_on() -> None:
    np.testing.assert_array_equal(random.normal((4,), seed=5), random.normal((4,), seed=5))
    generator = random.SeedGenerator(5)
    first, second = random.normal((4,), seed=generator), random.normal((4,), seed=generator)
    assert not np.array_equal(first, second)
    again = random.SeedGenerator(5)
    np.testing.assert_array_equal(first, random.normal((4,), seed=again))


def test_the_global_seed_makes_draws_without_a_seed_reproducible() -> None:
    random.set_global_seed(3)
    first = random.normal((4,))
    other = random.normal((4,))
    random.set_global_seed(3)
    np.testing.assert_array_equal(random.normal((4,)), first)
    assert not np.array_equal(first, other)


def test_a_generator_in_a_graph_is_state_that_comes_in_and_goes_out() -> None:
    generator = random.SeedGenerator(5)
    with Trace("f") as t:
        x = t.input(TensorType((Size.symbol("N"),)), "x")
        noise = random.normal(keras.ops.shape(x), seed=generator)
        traced = t.finish({"y": x + noise})
    out, state = evaluate(traced.graph, [np.zeros(6, "float32"), generator.state.numpy()])
    np.testing.assert_array_equal(out, random.normal((6,), seed=generator))
    np.testing.assert_array_equal(state, generator.state.numpy())


def test_wrong_use() -> None:
    with pytest.raises(ValueError, match="seed must be an integer"):
        random.normal((2,), seed="a")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="makes floating-point numbers"):
        random.uniform((2,), dtype="int32")
    with pytest.raises(ValueError, match=r"range \[3, 3\) is empty"):
        random.randint((2,), 3, 3)
    with pytest.raises(ValueError, match=r"Use ops\.shape\(x\)"):
        random.normal((None, 2))
