"""Crossentropies of a last layer: its kernel has the loss and the logits' gradient, row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphkeras as gk
from graphkeras.compiler import optimize
from graphkeras.ir import Size, TensorType
from graphkeras.training.step import trace_train_step

RNG = np.random.default_rng(0)
FORMS = [(sparse, logits) for sparse in (True, False) for logits in (True, False)]


def network(classes: int, sparse: bool, logits: bool, eagerly: bool = False) -> Any:
    gk.utils.set_random_seed(1)
    model = gk.Sequential(
        [
            gk.Input((6,)),
            gk.layers.Dense(8, "relu"),
            gk.layers.Dense(classes, None if logits else "softmax", name="classes"),
        ]
    )
    losses = gk.losses
    kind = losses.SparseCategoricalCrossentropy if sparse else losses.CategoricalCrossentropy
    model.compile("sgd", kind(from_logits=logits), metrics=["accuracy"], run_eagerly=eagerly)
    return model


@pytest.mark.parametrize(("sparse", "logits"), FORMS)
def test_one_kernel_has_the_loss_and_its_gradient(sparse: bool, logits: bool) -> None:
    model = network(10, sparse, logits)
    n = Size.symbol("N")
    y = TensorType((n,), "int32") if sparse else TensorType((n, 10))
    graph = optimize(trace_train_step(model, TensorType((n, 6)), y).graph)
    kernels = [node for node in graph.records[-1].after.nodes if node.body is not None]
    bodies = [{inner.op for inner in node.body.nodes} for node in kernels if node.body]
    (loss,) = [i for i, ops in enumerate(bodies) if {"exp", "log"} & ops]
    assert (kernels[loss].attrs["pattern"], kernels[loss].attrs["rows"]) == ("contract", 1)
    written = [value.type.shape for value in kernels[loss].results]
    # The loss of each row and the gradient of its logits; the class found, for the accuracy.
    assert sorted(map(str, written)) == ["(N, 10)", "(N,)", "(N,)"]
    assert "opaque" not in {node.attrs["pattern"] for node in kernels}


@pytest.mark.parametrize("classes", [2, 10, 300])
@pytest.mark.parametrize(("sparse", "logits"), FORMS)
def test_kernels_and_references_agree(classes: int, sparse: bool, logits: bool) -> None:
    # Some rows are so large that probabilities are 0 and 1, where they are clipped.
    x = (RNG.normal(size=(33, 6)) * np.linspace(0.1, 300, 33)[:, None]).astype("float32")
    labels = RNG.integers(0, classes, 33)
    y = labels if sparse else gk.utils.to_categorical(labels, classes)
    found = []
    for eagerly in (False, True):
        model = network(classes, sparse, logits, eagerly)
        history = model.fit(x, y, batch_size=16, epochs=2, verbose=0, shuffle=False).history
        found.append((history, model.get_weights()))
    (ours, weights), (expected, others) = found
    for name, values in expected.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-4)
    for a, b in zip(weights, others, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
