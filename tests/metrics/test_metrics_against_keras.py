"""Every metric gives Keras's numbers over several batches, at once and traced."""

from __future__ import annotations

import keras as real_keras
import numpy as np
import pytest

from graphkeras import metrics
from graphkeras.ir.dims import Size
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.types import TensorType
from graphkeras.trace import Trace

rng = np.random.default_rng(11)


def probabilities(*shape):
    values = rng.random(shape).astype("float32") + 0.05
    return values / values.sum(-1, keepdims=True)


def one_hot(*shape):
    classes = rng.integers(0, shape[-1], shape[:-1])
    return np.eye(shape[-1], dtype="float32")[classes]


def normal(*shape):
    return rng.normal(size=shape).astype("float32")


def scores(*shape):
    """Predictions on a grid, so that many are equal to each other and to thresholds."""
    return (rng.integers(0, 21, shape) / 20).astype("float32")


def binary(*shape):
    return rng.integers(0, 2, shape).astype("float32")


def classes(*shape):
    return rng.integers(0, 4, shape)


def check(name, kwargs, batches):
    """Compares results after each batch: Keras, ours at once, ours as one graph a batch."""
    theirs = getattr(real_keras.metrics, name)(**kwargs)
    ours = getattr(metrics, name)(**kwargs)
    traced = getattr(metrics, name)(**kwargs)
    assert ours.name.rstrip("_0123456789") == theirs.name.rstrip("_0123456789")
    for batch in batches:
        theirs.update_state(*batch)
        ours.update_state(*batch)
        expected = np.asarray(theirs.result())
        actual = np.asarray(ours.result())
        assert actual.shape == expected.shape
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(run_traced(traced, batch), expected, rtol=1e-5, atol=1e-6)
    ours.reset_state()
    theirs.reset_state()
    batch = batches[0]
    np.testing.assert_allclose(ours(*batch), np.asarray(theirs(*batch)), rtol=1e-5, atol=1e-6)


def run_traced(metric, batch):
    """Updates the metric through a graph with a symbolic batch; returns the result."""
    arrays = [np.asarray(a) for a in batch]
    with Trace("metric") as trace:
        inputs = []
        for i, a in enumerate(arrays):
            shape = (Size.symbol("N"), *a.shape[1:]) if a.ndim else ()
            inputs.append(trace.input(TensorType(shape, str(a.dtype)), f"x{i}"))
        metric.update_state(*inputs)
        result = metric.result()
        traced = trace.finish({"result": result})
    outputs = evaluate(traced.graph, [*arrays, *(v.numpy() for v in traced.variables)])
    for output, position in traced.graph.aliases.items():
        traced.variables[position - len(arrays)].assign(outputs[output])
    return outputs[0]


def batches(make_true, make_pred, shape_true, shape_pred, weight_shape=None):
    result = []
    for n in (5, 8):
        batch = [make_true(n, *shape_true), make_pred(n, *shape_pred)]
        if weight_shape is not None:
            batch.append(rng.random((n, *weight_shape)).astype("float32"))
        result.append(batch)
    return result


WEIGHTS = [None, (), (1,)]


@pytest.mark.parametrize("name", ["Mean", "Sum"])
@pytest.mark.parametrize(
    ("shape", "weights"),
    [
        ((), None),
        ((), ()),
        ((), (1,)),
        ((3,), None),
        ((3,), ()),
        ((3,), (1,)),
        ((3,), (3,)),
        ((3, 2), None),
        ((3, 2), ()),
        ((3, 2), (3,)),
    ],
    ids=str,
)
def test_reductions(name, shape, weights):
    data = []
    for n in (5, 8):
        batch = [normal(n, *shape)]
        if weights is not None:
            batch.append(rng.random((n, *weights)).astype("float32"))
        data.append(batch)
    check(name, {}, data)


def test_mean_of_scalars_counts_batches_and_their_weights():
    check("Mean", {}, [[np.float32(2.0)], [np.float32(4.0)]])
    check("Mean", {}, [[np.float32(2.0), np.float32(3.0)], [np.float32(4.0), np.float32(1.0)]])


@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
@pytest.mark.parametrize(
    "name",
    [
        "MeanSquaredError",
        "RootMeanSquaredError",
        "MeanAbsoluteError",
        "MeanAbsolutePercentageError",
        "MeanSquaredLogarithmicError",
        "LogCoshError",
        "CosineSimilarity",
        "Hinge",
        "SquaredHinge",
        "CategoricalHinge",
    ],
)
def test_regression(name, weights):
    check(name, {}, batches(normal, normal, (3,), (3,), weights))


@pytest.mark.parametrize("name", ["MeanSquaredError", "RootMeanSquaredError", "Accuracy"])
def test_ranks_that_differ(name):
    check(name, {}, batches(binary, binary, (), (1,)))
    check(name, {}, batches(binary, binary, (1,), ()))


@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("KLDivergence", {}),
        ("Poisson", {}),
        ("CategoricalCrossentropy", {}),
        ("CategoricalCrossentropy", {"label_smoothing": 0.1}),
        ("CategoricalCrossentropy", {"from_logits": True}),
        ("BinaryCrossentropy", {}),
        ("BinaryCrossentropy", {"label_smoothing": 0.1}),
        ("BinaryCrossentropy", {"from_logits": True}),
        ("CategoricalAccuracy", {}),
        ("TopKCategoricalAccuracy", {"k": 2}),
        ("Accuracy", {}),
        ("BinaryAccuracy", {"threshold": 0.3}),
    ],
    ids=str,
)
def test_probabilistic_and_accuracy(name, kwargs, weights):
    check(name, kwargs, batches(one_hot, probabilities, (4,), (4,), weights))


@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
@pytest.mark.parametrize("labels", [(), (1,)], ids=str)
@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("SparseCategoricalAccuracy", {}),
        ("SparseTopKCategoricalAccuracy", {"k": 2}),
        ("SparseCategoricalCrossentropy", {}),
        ("SparseCategoricalCrossentropy", {"from_logits": True}),
        ("SparseCategoricalCrossentropy", {"ignore_class": 1}),
    ],
    ids=str,
)
def test_class_numbers(name, kwargs, labels, weights):
    if name == "SparseTopKCategoricalAccuracy" and labels == (1,):
        labels = ()
    check(name, kwargs, batches(classes, probabilities, labels, (4,), weights))


def test_accuracy_over_sequences():
    check("SparseCategoricalAccuracy", {}, batches(classes, probabilities, (3,), (3, 4)))
    check("SparseTopKCategoricalAccuracy", {"k": 2}, batches(classes, probabilities, (3,), (3, 4)))
    check("TopKCategoricalAccuracy", {"k": 2}, batches(one_hot, probabilities, (3, 4), (3, 4)))
    check("CategoricalAccuracy", {}, batches(one_hot, probabilities, (3, 4), (3, 4)))
    check("SparseCategoricalAccuracy", {}, batches(classes, probabilities, (3,), (3, 4), (3,)))


def test_top_k_of_sorted_ids():
    ids = [np.argsort(-normal(5, 4), axis=-1) for _ in range(2)]
    data = [[classes(5), i] for i in ids]
    check("SparseTopKCategoricalAccuracy", {"k": 2, "from_sorted_ids": True}, data)


def test_ties_and_nan_in_top_k():
    tied = np.array([[0.5, 0.5, 0.0, 0.0], [np.nan, 0.1, 0.2, 0.3]], "float32")
    check("SparseTopKCategoricalAccuracy", {"k": 1}, [[np.array([1, 0]), tied]])


COUNTS = [
    "TruePositives",
    "FalsePositives",
    "TrueNegatives",
    "FalseNegatives",
    "Precision",
    "Recall",
]


@pytest.mark.parametrize("weights", [None, ()], ids=str)
@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize(
    "thresholds", [None, 0.3, [0.0, 0.5, 1.0], [0.1, 0.4, 0.9], [0.5, 0.5]], ids=str
)
def test_confusion(name, thresholds, weights):
    check(name, {"thresholds": thresholds}, batches(binary, scores, (3,), (3,), weights))


@pytest.mark.parametrize("thresholds", [0.3, [0.0, 0.5, 1.0]], ids=str)
@pytest.mark.parametrize("weights", [None, ()], ids=str)
@pytest.mark.parametrize("shape", [(), (1,)], ids=str)
def test_confusion_of_one_output(shape, weights, thresholds):
    check("Precision", {"thresholds": thresholds}, batches(binary, scores, shape, shape, weights))


@pytest.mark.parametrize("weights", [None, ()], ids=str)
@pytest.mark.parametrize("name", ["Precision", "Recall"])
@pytest.mark.parametrize(
    "kwargs", [{"top_k": 2}, {"class_id": 1}, {"top_k": 1, "class_id": 2}], ids=str
)
def test_top_k_and_class_id(name, kwargs, weights):
    check(name, kwargs, batches(one_hot, probabilities, (4,), (4,), weights))


@pytest.mark.parametrize("num_thresholds", [1, 2, 20])
@pytest.mark.parametrize(
    "name",
    [
        "SensitivityAtSpecificity",
        "SpecificityAtSensitivity",
        "PrecisionAtRecall",
        "RecallAtPrecision",
    ],
)
def test_rates_under_constraints(name, num_thresholds):
    kwargs = {"num_thresholds": num_thresholds}
    argument = name.split("At")[1].lower()
    check(name, {argument: 0.4, **kwargs}, batches(binary, scores, (1,), (1,)))
    check(name, {argument: 0.4, **kwargs}, batches(binary, scores, (), (), ()))


@pytest.mark.parametrize("curve", ["ROC", "PR", "PRGAIN"])
@pytest.mark.parametrize("summation", ["interpolation", "majoring", "minoring"])
@pytest.mark.parametrize(
    "kwargs", [{"num_thresholds": 21}, {"thresholds": [0.2, 0.25, 0.7]}], ids=str
)
def test_auc(curve, summation, kwargs):
    kwargs = {"curve": curve, "summation_method": summation, **kwargs}
    check("AUC", kwargs, batches(binary, scores, (1,), (1,), ()))


@pytest.mark.parametrize("curve", ["ROC", "PR", "PRGAIN"])
@pytest.mark.parametrize("kwargs", [{}, {"thresholds": [0.5]}], ids=str)
def test_auc_without_weights(curve, kwargs):
    check("AUC", {"curve": curve, **kwargs}, batches(binary, scores, (1,), (1,)))


@pytest.mark.parametrize("curve", ["ROC", "PR"])
@pytest.mark.parametrize(
    "kwargs",
    [
        {"num_labels": 3},
        {},
        {"label_weights": [0.2, 0.5, 0.3]},
        {"thresholds": [0.2, 0.25, 0.7]},
    ],
    ids=str,
)
def test_auc_of_several_labels(curve, kwargs):
    kwargs = {"curve": curve, "multi_label": True, **kwargs}
    check("AUC", kwargs, batches(binary, scores, (3,), (3,)))


def test_auc_from_logits_and_with_label_weights():
    check("AUC", {"from_logits": True}, batches(binary, normal, (1,), (1,)))
    check("AUC", {"label_weights": [0.2, 0.8]}, batches(binary, scores, (2,), (2,)))


@pytest.mark.parametrize("weights", [None, ()], ids=str)
@pytest.mark.parametrize("average", [None, "micro", "macro", "weighted"])
@pytest.mark.parametrize("threshold", [None, 0.3])
def test_f_scores(average, threshold, weights):
    data = batches(one_hot, probabilities, (4,), (4,), weights)
    check("F1Score", {"average": average, "threshold": threshold}, data)
    check("FBetaScore", {"average": average, "threshold": threshold, "beta": 2.0}, data)


@pytest.mark.parametrize("weights", [None, ()], ids=str)
@pytest.mark.parametrize("aggregation", [None, "uniform_average", "variance_weighted_average"])
@pytest.mark.parametrize("num_regressors", [0, 2])
def test_r2_score(aggregation, num_regressors, weights):
    kwargs = {"class_aggregation": aggregation, "num_regressors": num_regressors}
    check("R2Score", kwargs, batches(normal, normal, (2,), (2,), weights))
