"""What metrics do beyond numbers: state, configs, names, and errors a user can act on."""

from __future__ import annotations

import keras as real_keras
import numpy as np
import pytest

from graphkeras import losses, metrics, ops
from graphkeras.metrics.resolve import get_loss, get_metric

CLASSES = [
    value
    for value in (getattr(metrics, name) for name in metrics.__all__)
    if isinstance(value, type)
    and issubclass(value, metrics.Metric)
    and value not in (metrics.Metric, metrics.MeanMetricWrapper)
]
REQUIRED = {
    "SensitivityAtSpecificity": {"specificity": 0.5},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
    "PrecisionAtRecall": {"recall": 0.5},
    "RecallAtPrecision": {"precision": 0.5},
}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_config_round_trip(cls):
    metric = cls(**REQUIRED.get(cls.__name__, {}), name="mine")
    copy = metrics.deserialize(metrics.serialize(metric))
    assert type(copy) is cls
    assert copy.get_config() == metric.get_config()
    assert copy.name == "mine"


def test_wrapper_round_trip():
    metric = metrics.MeanMetricWrapper(metrics.binary_accuracy, name="b", threshold=0.9)
    copy = metrics.MeanMetricWrapper.from_config(metric.get_config())
    assert copy([1.0, 0.0], [0.8, 0.1]) == 0.5


def test_state_is_in_named_variables_that_reset():
    metric = metrics.Mean(name="loss")
    metric.update_state([1.0, 3.0])
    assert [v.path for v in metric.variables] == ["loss/total", "loss/count"]
    assert [float(v) for v in metric.variables] == [4.0, 2.0]
    metric.reset_state()
    assert metric.result() == 0.0


def test_calling_updates_and_returns():
    metric = metrics.Sum()
    assert metric([1.0, 2.0]) == 3.0
    assert metric([1.0, 2.0]) == 6.0


def test_custom_metric():
    class Largest(metrics.Metric):
        def __init__(self, name="largest"):
            super().__init__(name=name)
            self.value = self.add_weight(shape=(), initializer="zeros", name="value")
            self.inner = metrics.Mean()

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.value.assign(ops.maximum(self.value, ops.max(y_pred)))
            self.inner.update_state(y_pred)

        def result(self):
            return self.value

    metric = Largest()
    metric.update_state([0.0], [3.0, 5.0])
    metric.update_state([0.0], [4.0])
    assert float(metric.result()) == 5.0
    assert len(metric.variables) == 3
    assert float(metric.inner.result()) == 4.0


def test_forgotten_super_init():
    class Wrong(metrics.Metric):
        def __init__(self):
            self.total = self.add_variable(())

    with pytest.raises(RuntimeError, match="before `super"):
        Wrong()


def test_a_loss_object_as_metric_averages_batches():
    metric = get_metric(losses.MeanSquaredError(), np.zeros((2, 1)), np.zeros((2, 1)))
    metric.update_state(np.zeros((2, 1)), np.ones((2, 1)))
    metric.update_state(np.zeros((4, 1)), np.zeros((4, 1)))
    assert metric.name == "mean_squared_error"
    assert metric.result() == 0.5


@pytest.mark.parametrize("name", ["accuracy", "acc", "Accuracy"])
@pytest.mark.parametrize(
    ("true_shape", "pred_shape", "cls"),
    [
        ((8, 1), (8, 1), metrics.BinaryAccuracy),
        ((8,), (8, 1), metrics.BinaryAccuracy),
        ((8,), (8, 10), metrics.SparseCategoricalAccuracy),
        ((8, 1), (8, 10), metrics.SparseCategoricalAccuracy),
        ((8, 10), (8, 10), metrics.CategoricalAccuracy),
        ((8, 5), (8, 5, 10), metrics.SparseCategoricalAccuracy),
    ],
)
def test_accuracy_is_resolved_by_shapes(name, true_shape, pred_shape, cls):
    metric = get_metric(name, np.zeros(true_shape), np.zeros(pred_shape))
    assert type(metric) is cls
    assert metric.name == name


@pytest.mark.parametrize("name", ["crossentropy", "ce"])
@pytest.mark.parametrize(
    ("true_shape", "pred_shape", "fn"),
    [
        ((8, 1), (8, 1), losses.binary_crossentropy),
        ((8,), (8, 10), losses.sparse_categorical_crossentropy),
        ((8, 10), (8, 10), losses.categorical_crossentropy),
    ],
)
def test_crossentropy_is_resolved_by_shapes(name, true_shape, pred_shape, fn):
    loss = get_loss(name, np.zeros(true_shape), np.zeros(pred_shape))
    assert loss.fn is fn
    assert loss.name == name


def test_metrics_keep_the_name_the_user_wrote():
    shapes = np.zeros((2, 1)), np.zeros((2, 1))
    assert get_metric("mse", *shapes).name == "mse"
    assert get_metric("mean_absolute_error", *shapes).name == "mean_absolute_error"
    assert get_metric(metrics.AUC(name="area"), *shapes).name == "area"

    def my_metric(y_true, y_pred):
        return ops.mean(y_pred, axis=-1)

    assert get_metric(my_metric, *shapes).name == "my_metric"
    assert get_loss("mse", *shapes).name == "mse"
    assert get_loss(None, *shapes) is None


def test_unknown_name_suggests_the_right_one():
    with pytest.raises(ValueError, match=r"Unknown metric 'sparse_categorical_acc'.*accuracy"):
        metrics.get("sparse_categorical_acc")
    with pytest.raises(ValueError, match="received `None`"):
        get_metric(None, np.zeros((2, 1)), np.zeros((2, 1)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: metrics.Precision(thresholds=[0.2, 1.5]), r"must be in \[0, 1\].*1.5"),
        (lambda: metrics.AUC(num_thresholds=1), "integer > 1. Received: num_thresholds=1"),
        (lambda: metrics.AUC(curve="RUC"), "`curve`. Expected one of ROC, PR, PRGAIN"),
        (lambda: metrics.AUC(num_labels=3), "only when `multi_label` is True"),
        (lambda: metrics.RecallAtPrecision(1.5), "Received: precision=1.5"),
        (lambda: metrics.F1Score(average="mean"), "Received: average='mean'"),
        (lambda: metrics.F1Score(threshold=2.0), "0 < threshold <= 1. Received: threshold=2.0"),
        (lambda: metrics.FBetaScore(beta=1), "Expected a float > 0. Received: beta=1"),
        (lambda: metrics.R2Score("mean"), "class_aggregation='mean'"),
        (lambda: metrics.R2Score(num_regressors=-1), "num_regressors=-1"),
    ],
)
def test_arguments_without_meaning(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "y_true", "y_pred", "message"),
    [
        (lambda: metrics.F1Score(), (4,), (4,), r"\(batch, classes\)"),
        (lambda: metrics.R2Score(), (4,), (4,), r"\(batch, outputs\)"),
        (lambda: metrics.AUC(multi_label=True), (4,), (4,), r"\(batch, labels\)"),
        (lambda: metrics.Precision(class_id=1), (4,), (4,), r"With `class_id`"),
        (lambda: metrics.Recall(), (4, 3), (4, 3, 2), "must have the same shape"),
    ],
)
def test_shapes_that_do_not_fit(make, y_true, y_pred, message):
    with pytest.raises(ValueError, match=message):
        make().update_state(np.zeros(y_true), np.zeros(y_pred))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_what_is_better_is_known_as_in_keras(cls):
    options = REQUIRED.get(cls.__name__, {})
    expected = getattr(getattr(real_keras.metrics, cls.__name__)(**options), "_direction", None)
    assert cls(**options)._direction == expected


def test_a_loss_used_as_a_metric_should_shrink():
    assert get_metric(losses.huber, ops.zeros((2, 1)), ops.zeros((2, 1)))._direction == "down"
    assert get_metric(lambda y, p: y - p, ops.zeros((2, 1)), ops.zeros((2, 1)))._direction is None


def test_sparse_top_k_takes_a_column_of_labels():
    labels, scores = np.array([[2], [0]]), np.array([[0.1, 0.2, 0.7], [0.1, 0.2, 0.7]])
    matches = metrics.sparse_top_k_categorical_accuracy(labels, scores, k=2)
    np.testing.assert_array_equal(matches, [[1.0], [0.0]])
