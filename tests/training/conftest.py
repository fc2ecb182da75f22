"""Pairs of models: the same network in graphkeras and in the real Keras, with equal weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras as real_keras
import numpy as np
import pytest

import graphkeras

Pair = tuple[Any, Any]


def make_pair(build: Callable[[Any], Any], x: Any = None, **arguments: Any) -> Pair:
    """Builds both models and compiles them.

    Args:
        build: Makes the model from a module with the Keras API.
        x: Data to build a model without `Input` with.
        arguments: Arguments of `compile`; a callable value gets the module.
    """
    models = []
    for keras in (graphkeras, real_keras):
        model = build(keras)
        if x is not None:
            model(x)
        models.append(model)
    ours, theirs = models
    ours.set_weights(theirs.get_weights())
    for keras, model in ((graphkeras, ours), (real_keras, theirs)):
        given = {k: v(keras) if callable(v) else v for k, v in arguments.items()}
        if model is ours:
            # The NumPy references: these tests are about training, not about kernels.
            given.setdefault("run_eagerly", True)
        model.compile(**given)
    return ours, theirs


@pytest.fixture
def pair() -> Callable[..., Pair]:
    """`make_pair`."""
    return make_pair


@pytest.fixture
def data() -> Any:
    """A function `(samples, *shape, classes=)` that makes seeded `x` and class numbers."""

    def make(samples: int, *shape: int, classes: int = 3, seed: int = 0) -> Any:
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(samples, *shape)).astype(np.float32)
        return x, rng.integers(0, classes, samples)

    return make
