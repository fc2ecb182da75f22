"""Every layer does what the Keras layer of the same name does.

One table (`cases.py`), one pair of layers with the same weights for each row, and the questions a
user of a layer has: same numbers, same gradients, same shapes, same weights, same config.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import keras as real_keras
import numpy as np
import pytest

from graphkeras import layers, ops
from graphkeras.ir.dims import Size
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.types import TensorType
from graphkeras.passes.autodiff import gradients
from graphkeras.trace import Trace
from tests.layers.cases import CASES, Case

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


@dataclass
class Pair:
    """The layer under test and the Keras layer, built, with the same random weights."""

    ours: Any
    theirs: Any
    inputs: list[np.ndarray]

    @staticmethod
    def make(case: Case) -> Pair:
        random = np.random.default_rng(7)
        ours = getattr(layers, case.layer)(**case.arguments)
        theirs = getattr(real_keras.layers, case.layer)(**case.arguments)
        shapes = [(None, *shape[1:]) for shape in case.shapes]
        spec = shapes if len(shapes) > 1 else shapes[0]
        for layer in (ours, theirs):
            if not layer.built:
                layer.build(spec)
        theirs.set_weights(
            [
                # moving variances must be positive
                random.uniform(0.5, 1.5, size=weight.shape).astype(weight.dtype)
                for weight in theirs.weights
                if "seed" not in weight.path
            ]
            + [w.numpy() for w in theirs.weights if "seed" in w.path]
        )
        ours.set_weights(theirs.get_weights()[: len(ours.weights)])
        return Pair(ours, theirs, [example(case, shape) for shape in case.shapes])

    @property
    def argument(self) -> Any:
        return self.inputs if len(self.inputs) > 1 else self.inputs[0]

    def mode(self, training: bool) -> dict[str, bool]:
        takes = "training" in inspect.signature(self.theirs.call).parameters
        return {"training": training} if takes else {}


def example(case: Case, shape: Sequence[int]) -> np.ndarray:
    random = np.random.default_rng(sum(shape))
    if case.integers:
        return random.integers(0, case.integers, size=shape).astype("int32")
    return random.normal(size=shape).astype("float32")


def assert_close(actual: Any, expected: Any, tolerance: float) -> None:
    expected = np.asarray(expected)
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * scale)


@every_case
def test_outputs_and_state_match_keras(case: Case) -> None:
    pair = Pair.make(case)
    for training in case.training:
        mode = pair.mode(training)
        expected = pair.theirs(pair.argument, **mode)
        actual = pair.ours(pair.argument, **mode)
        assert str(actual.dtype) == str(expected.dtype)
        assert_close(actual, expected, 1e-5)
        for our_weight, their_weight in zip(pair.ours.weights, pair.theirs.weights, strict=True):
            if "seed" not in their_weight.path:
                assert_close(our_weight.numpy(), their_weight.numpy(), 1e-5)
        assert_close(sum(pair.ours.losses), float(sum(pair.theirs.losses)), 1e-5)


@every_case
def test_another_batch_size_needs_nothing(case: Case) -> None:
    pair = Pair.make(case)
    for batch in (1, 5):
        inputs = [example(case, (batch, *shape[1:])) for shape in case.shapes]
        argument = inputs if len(inputs) > 1 else inputs[0]
        assert_close(pair.ours(argument), pair.theirs(argument), 1e-5)


@every_case
def test_output_shape_is_announced(case: Case) -> None:
    pair = Pair.make(case)
    shapes = [(None, *shape[1:]) for shape in case.shapes]
    spec = shapes if len(shapes) > 1 else shapes[0]
    announced = pair.ours.compute_output_shape(spec)
    expected = tuple(pair.theirs.compute_output_shape(spec))
    assert announced == expected
    assert announced[1:] == pair.ours(pair.argument).shape[1:]
    symbolic = [
        layers.Input(shape[1:], dtype=x.dtype.name)
        for shape, x in zip(case.shapes, pair.inputs, strict=True)
    ]
    output = getattr(layers, case.layer)(**case.arguments)(
        symbolic if len(symbolic) > 1 else symbolic[0]
    )
    assert output.shape == announced


@every_case
def test_weights_have_the_names_shapes_and_kinds_of_keras(case: Case) -> None:
    pair = Pair.make(case)

    def describe(weights: Sequence[Any]) -> list[tuple[str, tuple[int, ...], str, bool]]:
        return [
            (w.name, tuple(w.shape), str(w.dtype), w.trainable)
            for w in weights
            if "seed" not in w.path
        ]

    assert describe(pair.ours.weights) == describe(pair.theirs.weights)
    assert describe(pair.ours.trainable_weights) == describe(pair.theirs.trainable_weights)
    assert pair.ours.count_params() == pair.theirs.count_params()


@every_case
def test_config_goes_round_and_has_the_entries_of_keras(case: Case) -> None:
    pair = Pair.make(case)
    config = pair.ours.get_config()
    copy = type(pair.ours).from_config(config)
    assert plain(copy.get_config()) == plain(config)
    theirs = plain(pair.theirs.get_config())
    ours = plain(config)
    for key in theirs.keys() - {"dtype", "name", *case.skip_config}:
        assert ours[key] == theirs[key], key
    accepted = inspect.signature(type(pair.ours).__init__).parameters.keys()
    assert set(config) - {"name", "trainable", "dtype", "activity_regularizer"} <= set(accepted)


def plain(value: Any) -> Any:
    """A config without differences that mean nothing: tuple or list, module of a class."""
    if isinstance(value, dict) and "class_name" in value:
        return value["class_name"], plain(value["config"])
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(entry) for entry in value]
    return value


@every_case
def test_gradients_match_jax(case: Case) -> None:
    pair = Pair.make(case)
    for training in case.training:
        mode = pair.mode(training)
        output = np.asarray(pair.theirs(pair.argument, **mode))
        direction = np.random.default_rng(3).normal(size=output.shape).astype("float32")
        expected = keras_gradients(pair, mode, direction)
        actual = our_gradients(pair, mode, direction)
        assert len(actual) == len(expected)
        for ours, theirs in zip(actual, expected, strict=True):
            assert_close(ours, theirs, 1e-4)


def keras_gradients(pair: Pair, mode: dict[str, bool], direction: np.ndarray) -> list[Any]:
    """Gradients of sum(output * direction): weights, then inputs unless they are integers."""
    fixed = [v.value for v in pair.theirs.non_trainable_variables]
    weights = [v.value for v in pair.theirs.trainable_variables]

    def objective(weights: list[Any], inputs: list[Any]) -> Any:
        argument = inputs if len(inputs) > 1 else inputs[0]
        output, _ = pair.theirs.stateless_call(weights, fixed, argument, **mode)
        return (output * direction).sum()

    if pair.inputs[0].dtype != np.float32:
        return list(jax.grad(objective)(weights, pair.inputs))
    by_weight, by_input = jax.grad(objective, argnums=(0, 1))(weights, pair.inputs)
    return [*by_weight, *by_input]


def our_gradients(pair: Pair, mode: dict[str, bool], direction: np.ndarray) -> list[np.ndarray]:
    batch = Size.symbol("N")
    with Trace("gradients") as t:
        inputs = [
            t.input(TensorType((batch, *x.shape[1:]), str(x.dtype)), f"x{i}")
            for i, x in enumerate(pair.inputs)
        ]
        weight = t.input(TensorType((batch, *direction.shape[1:])), "direction")
        output = pair.ours(inputs if len(inputs) > 1 else inputs[0], **mode)
        loss = ops.sum(output * weight)
        variables = pair.ours.trainable_variables
        wrt = [t.read(variable).value for variable in variables]
        wrt += [x.value for x in inputs if x.value.type.is_float]
        results = gradients(t.builder, loss.value, wrt)
        tensors = [
            t.tensor(g) if g is not None else ops.zeros(v.type.shape)
            for g, v in zip(results, wrt, strict=True)
        ]
        traced = t.finish({f"g{i}": tensor for i, tensor in enumerate(tensors)})
    arrays = [*pair.inputs, direction, *(v.numpy() for v in traced.variables)]
    return list(evaluate(traced.graph, arrays)[: len(tensors)])
