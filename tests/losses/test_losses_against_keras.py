"""Every loss gives Keras's numbers, over arguments, shapes, weights and reductions."""

from __future__ import annotations

import keras as real_keras
import numpy as np
import pytest

from graphkeras import losses
from graphkeras.ir.dims import Size
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.types import TensorType
from graphkeras.trace import Trace

rng = np.random.default_rng(7)


def probabilities(*shape):
    values = rng.random(shape).astype("float32") + 0.05
    return values / values.sum(-1, keepdims=True)


def one_hot(*shape):
    classes = rng.integers(0, shape[-1], shape[:-1])
    return np.eye(shape[-1], dtype="float32")[classes]


def normal(*shape):
    return rng.normal(size=shape).astype("float32")


def binary(*shape):
    return rng.integers(0, 2, shape).astype("float32")


SHAPES = [(6, 3), (4, 5, 3)]
REDUCTIONS = ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None]

REGRESSION = [
    ("MeanSquaredError", {}),
    ("MeanAbsoluteError", {}),
    ("MeanAbsolutePercentageError", {}),
    ("MeanSquaredLogarithmicError", {}),
    ("Huber", {}),
    ("Huber", {"delta": 0.3}),
    ("LogCosh", {}),
    ("CosineSimilarity", {}),
    ("CosineSimilarity", {"axis": 1}),
    ("Hinge", {}),
    ("SquaredHinge", {}),
    ("CategoricalHinge", {}),
]
BINARY = [
    ("BinaryCrossentropy", {}),
    ("BinaryCrossentropy", {"label_smoothing": 0.2}),
    ("BinaryCrossentropy", {"axis": 1}),
    ("BinaryFocalCrossentropy", {}),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.4, "gamma": 1.5}),
    ("BinaryFocalCrossentropy", {"label_smoothing": 0.1}),
    ("Hinge", {}),
    ("SquaredHinge", {}),
    ("Dice", {}),
    ("Dice", {"axis": -1}),
    ("Tversky", {"alpha": 0.3, "beta": 0.7}),
    ("Tversky", {"axis": (1,)}),
]
CATEGORICAL = [
    ("CategoricalCrossentropy", {}),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}),
    ("CategoricalFocalCrossentropy", {}),
    ("CategoricalFocalCrossentropy", {"alpha": 0.5, "gamma": 3.0, "label_smoothing": 0.1}),
    ("CategoricalHinge", {}),
    ("KLDivergence", {}),
    ("Poisson", {}),
]
WITH_LOGITS = {
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
}


def pair(name, kwargs):
    return getattr(losses, name)(**kwargs), getattr(real_keras.losses, name)(**kwargs)


def check(name, kwargs, y_true, y_pred, sample_weight=None):
    ours, theirs = pair(name, kwargs)
    expected = np.asarray(theirs(y_true, y_pred, sample_weight))
    actual = np.asarray(ours(y_true, y_pred, sample_weight))
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        run_traced(ours, y_true, y_pred, sample_weight), expected, rtol=1e-5, atol=1e-6
    )


def run_traced(loss, y_true, y_pred, sample_weight):
    """The loss as a graph with a symbolic batch, evaluated."""
    arrays = [np.asarray(y_true), np.asarray(y_pred)]
    if sample_weight is not None:
        arrays.append(np.asarray(sample_weight))
    with Trace("loss") as trace:
        inputs = [
            trace.input(TensorType((Size.symbol("N"), *a.shape[1:]), str(a.dtype)), f"x{i}")
            for i, a in enumerate(arrays)
        ]
        graph = trace.finish({"loss": loss(*inputs)}).graph
    (result,) = evaluate(graph, arrays)
    return result


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "kwargs"), REGRESSION, ids=str)
def test_regression_losses(name, kwargs, shape):
    check(name, kwargs, normal(*shape), normal(*shape))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "kwargs"), BINARY, ids=str)
def test_binary_losses(name, kwargs, shape):
    check(name, kwargs, binary(*shape), rng.random(shape).astype("float32"))
    if name in WITH_LOGITS:
        check(name, {**kwargs, "from_logits": True}, binary(*shape), 4 * normal(*shape))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "kwargs"), CATEGORICAL, ids=str)
def test_categorical_losses(name, kwargs, shape):
    check(name, kwargs, one_hot(*shape), probabilities(*shape))
    if name in WITH_LOGITS:
        check(name, {**kwargs, "from_logits": True}, one_hot(*shape), 4 * normal(*shape))


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("name", ["CategoricalCrossentropy", "CategoricalFocalCrossentropy"])
def test_categorical_losses_along_another_axis(name, from_logits):
    y_true = np.moveaxis(one_hot(4, 5, 3), -1, 1)
    y_pred = np.moveaxis(probabilities(4, 5, 3), -1, 1)
    check(name, {"axis": 1, "from_logits": from_logits}, y_true, y_pred)


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("ignore_class", [None, 1, -1])
@pytest.mark.parametrize("labels", [(6,), (6, 1), (6, 4)], ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_sparse_categorical_crossentropy(from_logits, ignore_class, labels, reduction):
    y_true = rng.integers(0, 3, labels)
    if ignore_class == -1:
        y_true[::2] = -1
    outer = labels if len(labels) == 1 or labels[1] != 1 else labels[:1]
    y_pred = normal(*outer, 3) if from_logits else probabilities(*outer, 3)
    kwargs = {"from_logits": from_logits, "ignore_class": ignore_class, "reduction": reduction}
    check("SparseCategoricalCrossentropy", kwargs, y_true, y_pred)
    weight = rng.random(6).astype("float32")
    if len(outer) == 1:
        check("SparseCategoricalCrossentropy", kwargs, y_true, y_pred, weight)


def test_ignoring_every_sample_gives_zero():
    kwargs = {"ignore_class": 0}
    check("SparseCategoricalCrossentropy", kwargs, np.zeros(4, "int64"), probabilities(4, 3))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight_shape", [(6,), (6, 1), (6, 4)], ids=str)
def test_reductions_with_sample_weights(reduction, weight_shape):
    y_true, y_pred = normal(6, 4, 3), normal(6, 4, 3)
    weight = rng.random(weight_shape).astype("float32")
    kwargs = {"reduction": reduction}
    if weight_shape == (6,):
        y_true, y_pred = y_true[:, 0], y_pred[:, 0]
    check("MeanSquaredError", kwargs, y_true, y_pred, weight)
    check("MeanSquaredError", kwargs, y_true, y_pred)


def test_all_weights_zero_gives_zero_not_nan():
    kwargs = {"reduction": "mean_with_sample_weight"}
    check("MeanSquaredError", kwargs, normal(6, 3), normal(6, 3), np.zeros(6, "float32"))


@pytest.mark.parametrize("name", ["MeanSquaredError", "BinaryCrossentropy", "Huber"])
@pytest.mark.parametrize("shapes", [((6,), (6, 1)), ((6, 1), (6,)), ((6, 2, 1), (6, 2))], ids=str)
def test_ranks_that_differ_by_one(name, shapes):
    check(name, {}, binary(*shapes[0]), rng.random(shapes[1]).astype("float32"))


@pytest.mark.parametrize("dtype", ["int64", "bool", "float64", "uint8"])
def test_labels_of_any_dtype(dtype):
    y_pred = rng.random((6, 3)).astype("float32")
    check("BinaryCrossentropy", {}, binary(6, 3).astype(dtype), y_pred)


def test_probabilities_of_zero_and_one_are_clipped():
    y_true = np.array([[1.0, 0.0], [0.0, 1.0]], "float32")
    y_pred = np.array([[0.0, 1.0], [0.0, 1.0]], "float32")
    check("BinaryCrossentropy", {}, y_true, y_pred)
    check("CategoricalCrossentropy", {}, y_true, y_pred)
    check("KLDivergence", {}, y_true, y_pred)
    check("SparseCategoricalCrossentropy", {}, np.array([0, 1]), y_pred)


def test_huge_logits_stay_finite():
    y_true = np.array([[1.0, 0.0], [0.0, 1.0]], "float32")
    y_pred = np.array([[1000.0, -1000.0], [1000.0, -1000.0]], "float32")
    check("BinaryCrossentropy", {"from_logits": True}, y_true, y_pred)
    check("CategoricalCrossentropy", {"from_logits": True}, y_true, y_pred)
    check("LogCosh", {}, y_true, y_pred)


@pytest.mark.parametrize(
    "name",
    ["mean_squared_error", "mse", "MAE", "huber", "log_cosh", "poisson", "hinge", "kld", "bce"],
)
def test_functions_by_name(name):
    y_true, y_pred = probabilities(5, 3), probabilities(5, 3)
    expected = np.asarray(real_keras.losses.get(name)(y_true, y_pred))
    np.testing.assert_allclose(losses.get(name)(y_true, y_pred), expected, rtol=1e-5, atol=1e-6)


def test_every_name_of_keras_that_the_project_lists_is_known():
    table = real_keras.src.losses.ALL_OBJECTS_DICT
    absent = {"CTC", "Circle", "ctc", "circle"}
    for name in set(table) - absent - {"Loss", "LossFunctionWrapper"}:
        assert losses.get(name) is not None


def test_a_mask_on_the_predictions_leaves_samples_out():
    y_true, y_pred = normal(4, 3, 2), normal(4, 3, 2)
    mask = np.array([[1, 1, 0]] * 4, bool)
    theirs = real_keras.ops.convert_to_tensor(y_pred)
    theirs._keras_mask = real_keras.ops.convert_to_tensor(mask)
    expected = real_keras.losses.MeanSquaredError()(y_true, theirs)
    with Trace("loss") as trace:
        inputs = [
            trace.input(TensorType(a.shape, str(a.dtype)), f"x{i}")
            for i, a in enumerate((y_true, y_pred, mask))
        ]
        inputs[1]._keras_mask = inputs[2]
        graph = trace.finish({"loss": losses.MeanSquaredError()(*inputs[:2])}).graph
    (actual,) = evaluate(graph, [y_true, y_pred, mask])
    np.testing.assert_allclose(actual, np.asarray(expected), rtol=1e-5)
