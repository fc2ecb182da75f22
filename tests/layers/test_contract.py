"""Every layer does what the Keras layer of the same name does.

One table (`cases.py`), one pair of layers with the same weights for each row, and the questions a
user of a layer has: same numbers, same gradients, same shapes, same weights, same config.
"""

from __future__ import annotations

import functools
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
from graphkeras.trace import KerasTensor, Trace
from tests.layers.cases import CASES, Case

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
every_mode = pytest.mark.parametrize(
    ("case", "training"),
    [(case, training) for case in CASES for training in case.training],
    ids=lambda value: value.id if isinstance(value, Case) else f"training={value}",
)


@dataclass(frozen=True)
class Answer:
    """What the Keras layer computes in one mode."""

    output: np.ndarray
    loss: np.ndarray
    """Sum of the layer's losses."""
    state: list[np.ndarray]
    """Weights that are not trainable, after the call."""
    gradients: list[np.ndarray]
    """Of sum(output * direction) for trainable weights, then for inputs that are floats."""


class Oracle:
    """The Keras layer of a case, built, with random weights, and random inputs for it."""

    def __init__(self, case: Case) -> None:
        random = np.random.default_rng(7)
        self.case = case
        self.layer = getattr(real_keras.layers, case.layer)(**case.arguments)
        self.config = self.layer.get_config()
        self.inputs = [example(case, shape) for shape in case.shapes]
        for name in vars(self.layer):
            if name.endswith("_initializer"):  # values are replaced below; zeros are quick
                setattr(self.layer, name, real_keras.initializers.Zeros())
        if not self.layer.built:
            self.layer.build(symbolic_shape(case))
        self.variables = [w for w in self.layer.weights if "seed" not in w.path]
        # moving variances must be positive
        self.weights = [
            random.uniform(0.5, 1.5, size=w.shape).astype(w.dtype) for w in self.variables
        ]
        for variable, value in zip(self.variables, self.weights, strict=True):
            variable.assign(value)

    def mode(self, training: bool) -> dict[str, bool]:
        takes = "training" in inspect.signature(self.layer.call).parameters
        return {"training": training} if takes else {}

    @functools.cache  # noqa: B019  # one object a case, kept for the whole run
    def answer(self, training: bool) -> Answer:
        """Everything about one mode, compiled once: compiling is most of the time."""
        fixed = [v.value for v in self.layer.non_trainable_variables]
        weights = [v.value for v in self.layer.trainable_variables]
        integers = self.case.integers > 0

        def objective(weights: list[Any], inputs: list[Any]) -> Any:
            argument = one_or_list(self.inputs if integers else inputs)
            output, state, losses = self.layer.stateless_call(
                weights, fixed, argument, return_losses=True, **self.mode(training)
            )
            # a plain sum would hide gradients that differ by element
            total = (output * direction(output.shape)).sum()
            return total, (output, sum(losses, np.zeros(())), state)

        compute = jax.jit(jax.value_and_grad(objective, argnums=(0, 1), has_aux=True))
        results, grads = compute(weights, [] if integers else self.inputs)
        output, loss, state = jax.tree.map(np.asarray, results[1])
        if self.layer.activity_regularizer is not None:  # stateless_call leaves these losses out
            self.layer(one_or_list(self.inputs), **self.mode(training))
            loss = np.asarray(sum(self.layer.losses))
        own = [
            value
            for value, v in zip(state, self.layer.non_trainable_variables, strict=True)
            if "seed" not in v.path
        ]
        return Answer(output, loss, own, jax.tree.map(np.asarray, [*grads[0], *grads[1]]))


@functools.cache
def oracle_of(case_id: str) -> Oracle:
    return Oracle(next(case for case in CASES if case.id == case_id))


def our_layer(case: Case) -> Any:
    """A new layer with the weights of the oracle."""
    layer = getattr(layers, case.layer)(**case.arguments)
    if not layer.built:
        layer.build(symbolic_shape(case))
    values = oracle_of(case.id).weights
    layer.set_weights([*values, *layer.get_weights()[len(values) :]])
    return layer


def symbolic_shape(case: Case) -> Any:
    return one_or_list([(None, *shape[1:]) for shape in case.shapes])


def one_or_list(items: list[Any]) -> Any:
    return items if len(items) > 1 else items[0]


def direction(shape: Sequence[int]) -> np.ndarray:
    return np.random.default_rng(3).normal(size=shape).astype("float32")


def example(case: Case, shape: Sequence[int]) -> np.ndarray:
    random = np.random.default_rng(sum(shape))
    if case.integers:
        return random.integers(0, case.integers, size=shape).astype("int32")
    return random.normal(size=shape).astype("float32")


def assert_close(actual: Any, expected: Any, tolerance: float) -> None:
    expected = np.asarray(expected)
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * scale)


@every_mode
def test_outputs_losses_and_state_match_keras(case: Case, training: bool) -> None:
    oracle, ours = oracle_of(case.id), our_layer(case)
    expected = oracle.answer(training)
    actual = ours(one_or_list(oracle.inputs), **oracle.mode(training))
    assert actual.dtype == expected.output.dtype
    assert_close(actual, expected.output, 1e-5)
    assert_close(sum(ours.losses), expected.loss, 1e-5)
    state = [v.numpy() for v in ours.non_trainable_variables]
    for our_value, their_value in zip(state, expected.state, strict=False):
        assert_close(our_value, their_value, 1e-5)


@every_case
def test_a_sample_does_not_depend_on_its_batch(case: Case) -> None:
    ours = our_layer(case)
    inputs = [example(case, (5, *shape[1:])) for shape in case.shapes]
    together = ours(one_or_list(inputs))
    alone = ours(one_or_list([x[3:4] for x in inputs]))
    assert together.shape[0] == 5
    assert_close(alone, together[3:4], 1e-5)


@every_case
def test_output_shape_is_announced(case: Case) -> None:
    oracle, ours = oracle_of(case.id), our_layer(case)
    announced = ours.compute_output_shape(symbolic_shape(case))
    assert announced == tuple(oracle.layer.compute_output_shape(symbolic_shape(case)))
    symbolic = [KerasTensor((None, *x.shape[1:]), str(x.dtype)) for x in oracle.inputs]
    output = getattr(layers, case.layer)(**case.arguments)(one_or_list(symbolic))
    assert output.shape == announced


@every_case
def test_weights_have_the_names_shapes_and_kinds_of_keras(case: Case) -> None:
    oracle, ours = oracle_of(case.id), our_layer(case)

    def describe(weights: Sequence[Any]) -> list[tuple[str, tuple[int, ...], str, bool]]:
        return [
            (w.name, tuple(w.shape), str(w.dtype), w.trainable)
            for w in weights
            if "seed" not in w.path
        ]

    assert describe(ours.weights) == describe(oracle.layer.weights)
    assert describe(ours.trainable_weights) == describe(oracle.layer.trainable_weights)
    assert ours.count_params() == oracle.layer.count_params()


@every_case
def test_config_goes_round_and_has_the_entries_of_keras(case: Case) -> None:
    layer = getattr(layers, case.layer)(**case.arguments)
    config = layer.get_config()
    copy = type(layer).from_config(config)
    assert plain(copy.get_config()) == plain(config)
    theirs, ours = plain(oracle_of(case.id).config), plain(config)
    for key in theirs.keys() - {"dtype", "name"}:
        assert ours[key] == theirs[key], key


def plain(value: Any) -> Any:
    """A config without differences that mean nothing.

    These are tuple or list, the module of a class, and floats that went through float32.
    """
    if isinstance(value, float):
        return pytest.approx(value, rel=1e-6)
    if isinstance(value, dict) and "class_name" in value:
        own = {k: plain(v) for k, v in value["config"].items() if v is not None}
        return value["class_name"], own
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(entry) for entry in value]
    return value


@every_mode
def test_gradients_match_jax(case: Case, training: bool) -> None:
    expected = oracle_of(case.id).answer(training).gradients
    actual = our_gradients(case, training)
    assert len(actual) == len(expected)
    for ours, theirs in zip(actual, expected, strict=True):
        assert_close(ours, theirs, 1e-4)


def our_gradients(case: Case, training: bool) -> list[np.ndarray]:
    """Traced with a batch size known only at run time, differentiated, and evaluated."""
    oracle, ours, batch = oracle_of(case.id), our_layer(case), Size.symbol("N")
    weight = direction(oracle.answer(training).output.shape)
    with Trace("gradients") as t:
        inputs = [
            t.input(TensorType((batch, *x.shape[1:]), str(x.dtype)), f"x{i}")
            for i, x in enumerate(oracle.inputs)
        ]
        factor = t.input(TensorType((batch, *weight.shape[1:])), "direction")
        output = ours(one_or_list(inputs), **oracle.mode(training))
        loss = ops.sum(output * factor)
        wrt = [t.read(variable).value for variable in ours.trainable_variables]
        wrt += [x.value for x in inputs if x.value.type.is_float]
        results = gradients(t.builder, loss.value, wrt)
        tensors = [
            t.tensor(result) if result is not None else ops.zeros(value.type.shape)
            for result, value in zip(results, wrt, strict=True)
        ]
        traced = t.finish({f"g{i}": tensor for i, tensor in enumerate(tensors)})
    arrays = [*oracle.inputs, weight, *(v.numpy() for v in traced.variables)]
    return list(evaluate(traced.graph, arrays)[: len(tensors)])
