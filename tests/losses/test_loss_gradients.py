"""Gradients of losses with respect to predictions are those of Keras on JAX."""

from __future__ import annotations

import jax
import keras as real_keras
import numpy as np
import pytest

from graphkeras import losses
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.types import TensorType
from graphkeras.trace import Trace
from graphkeras.variables import Variable

rng = np.random.default_rng(5)
NORMAL = rng.normal(size=(5, 3)).astype("float32")
PROBABILITIES = np.exp(NORMAL) / np.exp(NORMAL).sum(-1, keepdims=True)
ONE_HOT = np.eye(3, dtype="float32")[rng.integers(0, 3, 5)]
CLASSES = np.array([0, 2, 1, 1, 0])
BINARY = rng.integers(0, 2, (5, 3)).astype("float32")
OTHER = rng.normal(size=(5, 3)).astype("float32")
WEIGHTS = rng.random(5).astype("float32")


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize(
    ("name", "kwargs", "y_true", "y_pred"),
    [
        ("MeanSquaredError", {}, OTHER, NORMAL),
        ("MeanAbsoluteError", {}, OTHER, NORMAL),
        ("MeanAbsolutePercentageError", {}, OTHER, NORMAL),
        ("MeanSquaredLogarithmicError", {}, OTHER, PROBABILITIES),
        ("Huber", {"delta": 0.7}, OTHER, NORMAL),
        ("LogCosh", {}, OTHER, NORMAL),
        ("CosineSimilarity", {}, OTHER, NORMAL),
        ("Hinge", {}, BINARY, NORMAL),
        ("SquaredHinge", {}, BINARY, NORMAL),
        ("CategoricalHinge", {}, ONE_HOT, NORMAL),
        ("KLDivergence", {}, ONE_HOT, PROBABILITIES),
        ("Poisson", {}, BINARY, PROBABILITIES),
        ("Dice", {"axis": -1}, BINARY, PROBABILITIES),
        ("Tversky", {"axis": -1}, BINARY, PROBABILITIES),
        ("BinaryCrossentropy", {}, BINARY, PROBABILITIES),
        ("BinaryCrossentropy", {"from_logits": True}, BINARY, NORMAL),
        ("BinaryFocalCrossentropy", {}, BINARY, PROBABILITIES),
        ("CategoricalCrossentropy", {"label_smoothing": 0.1}, ONE_HOT, PROBABILITIES),
        ("CategoricalCrossentropy", {"from_logits": True}, ONE_HOT, NORMAL),
        ("CategoricalFocalCrossentropy", {"from_logits": True}, ONE_HOT, NORMAL),
        ("SparseCategoricalCrossentropy", {}, CLASSES, PROBABILITIES),
        ("SparseCategoricalCrossentropy", {"from_logits": True}, CLASSES, NORMAL),
        ("SparseCategoricalCrossentropy", {"ignore_class": 1}, CLASSES, PROBABILITIES),
    ],
    ids=lambda value: str(value) if not isinstance(value, np.ndarray) else "",
)
def test_gradient(name, kwargs, y_true, y_pred, weights):
    theirs = getattr(real_keras.losses, name)(**kwargs)
    expected = jax.grad(lambda p: theirs(y_true, p, weights))(y_pred)
    prediction = Variable(y_pred, name="prediction")
    with Trace("loss") as trace:
        labels = trace.input(TensorType(y_true.shape, str(y_true.dtype)), "labels")
        loss = getattr(losses, name)(**kwargs)(labels, prediction, weights)
        (gradient,) = trace.gradients(loss, [prediction])
        graph = trace.finish({"gradient": gradient}).graph
    (actual,) = evaluate(graph, [y_true, y_pred])
    np.testing.assert_allclose(actual, np.asarray(expected), rtol=1e-4, atol=1e-6)
