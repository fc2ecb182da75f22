"""Schedules give Keras's learning rates at every step, at once and traced."""

from __future__ import annotations

import keras as real_keras
import numpy as np
import pytest

from graphkeras import ops
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.types import TensorType
from graphkeras.optimizers import schedules
from graphkeras.trace import Trace

CASES = [
    ("ExponentialDecay", (0.1, 10, 0.9), {}),
    ("ExponentialDecay", (0.1, 10, 0.9), {"staircase": True}),
    ("InverseTimeDecay", (0.1, 10, 0.5), {}),
    ("InverseTimeDecay", (0.1, 10, 0.5), {"staircase": True}),
    ("PolynomialDecay", (0.1, 12), {}),
    ("PolynomialDecay", (0.1, 12), {"end_learning_rate": 0.01, "power": 0.5}),
    ("PolynomialDecay", (0.1, 12), {"power": 2.0, "cycle": True}),
    ("PiecewiseConstantDecay", ([5, 12], [1.0, 0.5, 0.25]), {}),
    ("PiecewiseConstantDecay", ([3], [1.0, 0.5]), {}),
    ("CosineDecay", (0.1, 20), {}),
    ("CosineDecay", (0.1, 20), {"alpha": 0.2}),
    ("CosineDecay", (0.0, 20), {"warmup_target": 0.1, "warmup_steps": 7}),
    ("CosineDecay", (0.05, 20), {"warmup_target": 0.1, "warmup_steps": 7, "alpha": 0.1}),
    ("CosineDecayRestarts", (0.1, 5), {}),
    ("CosineDecayRestarts", (0.1, 6), {"t_mul": 1.0, "m_mul": 0.8, "alpha": 0.1}),
    ("CosineDecayRestarts", (0.1, 4), {"t_mul": 1.5, "m_mul": 0.9}),
]
STEPS = [0, 1, 3, 4, 5, 7, 8, 12, 13, 19, 24, 25, 40]


@pytest.mark.parametrize(("name", "args", "kwargs"), CASES, ids=str)
def test_rates(name, args, kwargs):
    ours = getattr(schedules, name)(*args, **kwargs)
    theirs = getattr(real_keras.optimizers.schedules, name)(*args, **kwargs)
    with Trace("rate") as trace:
        step = trace.input(TensorType((), "int32"), "step")
        graph = trace.finish({"rate": ours(step)}).graph
    for number in STEPS:
        expected = np.asarray(theirs(number))
        np.testing.assert_allclose(ours(number), expected, rtol=1e-5, atol=1e-7)
        (traced,) = evaluate(graph, [np.int32(number)])
        np.testing.assert_allclose(traced, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("name", "args", "kwargs"), CASES, ids=str)
def test_config_round_trip(name, args, kwargs):
    schedule = getattr(schedules, name)(*args, **kwargs)
    copy = schedules.deserialize(schedules.serialize(schedule))
    assert type(copy) is type(schedule)
    assert copy(9) == schedule(9)


def test_a_custom_schedule():
    class Halving(schedules.LearningRateSchedule):
        def __call__(self, step):
            return 1.0 / (1.0 + ops.cast(step, "float32"))

    assert Halving()(3) == 0.25


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.9), "must be > 0. Received: decay_steps=0"),
        (lambda: schedules.CosineDecayRestarts(0.1, -1), "first_decay_steps=-1"),
        (lambda: schedules.PiecewiseConstantDecay([1], [0.1]), "1 less than the length of values"),
    ],
)
def test_arguments_without_meaning(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_schedule_must_be_callable():
    with pytest.raises(NotImplementedError, match="must implement `__call__"):
        schedules.LearningRateSchedule()(1)
