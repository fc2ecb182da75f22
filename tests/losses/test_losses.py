"""What losses do beyond numbers: configs, names, structures, and errors a user can act on."""

from __future__ import annotations

import numpy as np
import pytest

from graphkeras import losses, ops
from graphkeras.ir.types import TensorType
from graphkeras.trace import Trace

CLASSES = [
    value
    for value in (getattr(losses, name) for name in losses.__all__)
    if isinstance(value, type) and issubclass(value, losses.Loss) and value is not losses.Loss
]
BUILTIN = [cls for cls in CLASSES if cls is not losses.LossFunctionWrapper]


@pytest.mark.parametrize("cls", BUILTIN, ids=lambda c: c.__name__)
def test_config_round_trip(cls):
    loss = cls(name="mine", reduction="sum")
    copy = losses.deserialize(losses.serialize(loss))
    assert type(copy) is cls
    assert copy.get_config() == loss.get_config()
    assert copy.name == "mine"
    assert copy.reduction == "sum"


def test_arguments_survive_a_round_trip():
    copy = losses.deserialize(losses.serialize(losses.Huber(delta=0.3)))
    y_true, y_pred = np.zeros((2, 2)), np.array([[1.0, 2.0], [0.1, 0.0]])
    np.testing.assert_allclose(copy(y_true, y_pred), losses.Huber(delta=0.3)(y_true, y_pred))


def test_function_wrapper_round_trip():
    loss = losses.LossFunctionWrapper(losses.huber, name="h", delta=0.5)
    copy = losses.LossFunctionWrapper.from_config(loss.get_config())
    data = np.zeros((2, 3)), np.ones((2, 3))
    np.testing.assert_allclose(copy(*data), loss(*data))


def test_custom_loss_class():
    class Cubed(losses.Loss):
        def call(self, y_true, y_pred):
            return ops.mean(ops.abs(y_true - y_pred) ** 3, axis=-1)

    loss = Cubed()
    assert loss.name == "cubed"
    np.testing.assert_allclose(loss(np.zeros((2, 2)), np.full((2, 2), 2.0)), 8.0)


def test_lists_of_numbers_are_one_tensor():
    loss = losses.MeanSquaredError(reduction="none")
    np.testing.assert_allclose(loss([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]]), [0.5, 0.5])


def test_structures_reach_call():
    class Both(losses.Loss):
        def call(self, y_true, y_pred):
            return ops.mean(y_pred["a"] - y_true["a"], axis=-1) + ops.mean(y_pred["b"], axis=-1)

    zeros, ones = np.zeros((3, 2)), np.ones((3, 2))
    value = Both()({"a": zeros, "b": zeros}, {"a": ones, "b": ones})
    np.testing.assert_allclose(value, 2.0)


def test_the_dtype_argument_sets_the_result():
    assert (
        losses.MeanSquaredError(dtype="float64")(np.zeros((2, 2)), np.ones((2, 2))).dtype
        == "float64"
    )


def test_unknown_name_suggests_the_right_one():
    with pytest.raises(ValueError, match=r"Unknown loss 'mean_square_error'.*mean_squared_error"):
        losses.get("mean_square_error")


def test_identifier_of_no_use():
    with pytest.raises(ValueError, match=r"5.*loss"):
        losses.get(5)
    assert losses.get(None) is None


def test_bad_reduction():
    with pytest.raises(ValueError, match=r"Invalid value for argument `reduction`.*'average'"):
        losses.MeanSquaredError(reduction="average")


def test_one_hot_labels_for_the_sparse_loss():
    with pytest.raises(ValueError, match="For one-hot labels use categorical_crossentropy"):
        losses.SparseCategoricalCrossentropy()(np.eye(3), np.full((3, 3), 1 / 3))


def test_class_numbers_for_the_categorical_loss():
    with pytest.raises(ValueError, match=r"y_true.shape=\(3, 1\).*use sparse_categorical"):
        losses.CategoricalCrossentropy()(np.zeros((3, 1)), np.full((3, 4), 0.25))


def test_binary_crossentropy_names_both_shapes():
    with pytest.raises(ValueError, match=r"y_true.shape=\(3, 2\), y_pred.shape=\(3, 4\)"):
        losses.BinaryCrossentropy()(np.zeros((3, 2)), np.full((3, 4), 0.25))


def test_one_class_warns_about_binary_crossentropy():
    with pytest.warns(SyntaxWarning, match="binary_crossentropy"):
        losses.CategoricalCrossentropy()(np.ones((3, 1)), np.ones((3, 1)))


def test_a_boolean_axis_is_refused():
    with pytest.raises(ValueError, match="`axis` must be an int"):
        losses.categorical_crossentropy(np.eye(2), np.eye(2), axis=True)


def test_the_divisor_is_the_size_of_the_batch_that_runs():
    from graphkeras.ir.dims import Size
    from graphkeras.ir.evaluate import evaluate

    with Trace("loss") as trace:
        x = trace.input(TensorType((Size.symbol("N"), 2)), "x")
        graph = trace.finish({"loss": losses.MeanSquaredError()(ops.zeros_like(x), x)}).graph
    for batch in (1, 3, 10):
        (value,) = evaluate(graph, [np.full((batch, 2), 3.0, "float32")])
        assert value == 9.0
