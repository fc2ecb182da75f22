"""Training, evaluating and predicting give the numbers of the real Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def assert_same(ours: Any, theirs: Any, tolerance: float = 1e-4) -> None:
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def mlp(k: Any) -> Any:
    return k.Sequential(
        [k.Input((6,)), k.layers.Dense(8, activation="relu"), k.layers.Dense(3, "softmax")]
    )


def regression(k: Any) -> Any:
    return k.Sequential(
        [
            k.Input((6,)),
            k.layers.Dense(8, activation="tanh", kernel_regularizer=k.regularizers.L2(0.05)),
            k.layers.Dense(1, kernel_regularizer=k.regularizers.L1(0.1)),
        ]
    )


def cnn(k: Any) -> Any:
    return k.Sequential(
        [
            k.Input((6, 6, 2)),
            k.layers.Conv2D(4, 3, padding="same"),
            k.layers.BatchNormalization(),
            k.layers.Activation("relu"),
            k.layers.MaxPooling2D(),
            k.layers.Flatten(),
            k.layers.Dense(3, activation="softmax"),
        ]
    )


def two_outputs(k: Any) -> Any:
    x = k.Input((6,), name="x")
    h = k.layers.Dense(8, activation="relu")(x)
    a = k.layers.Dense(3, activation="softmax", name="a")(h)
    b = k.layers.Dense(1, name="b")(h)
    return k.Model(x, [a, b])


def dict_outputs(k: Any) -> Any:
    x = k.Input((6,), name="x")
    h = k.layers.Dense(8, activation="relu")(x)
    outputs = {
        "second": k.layers.Dense(1, name="b")(h),
        "first": k.layers.Dense(3, activation="softmax", name="a")(h),
    }
    return k.Model(x, outputs)


def check_all(ours: Any, theirs: Any, x: Any, y: Any, **fit: Any) -> None:
    """Five steps an epoch, two epochs; then weights, history, evaluate and predict agree."""
    options = {"batch_size": 16, "epochs": 2, "shuffle": False, "verbose": 0, **fit}
    h1 = ours.fit(x, y, **options).history
    h2 = theirs.fit(x, y, **options).history
    assert list(h1) == list(h2)
    for name in h2:
        np.testing.assert_allclose(h1[name], h2[name], rtol=1e-4, atol=1e-5)
    assert_same(ours.get_weights(), theirs.get_weights())
    weight = fit.get("sample_weight")
    e1 = ours.evaluate(x, y, sample_weight=weight, verbose=0)
    e2 = theirs.evaluate(x, y, sample_weight=weight, verbose=0)
    np.testing.assert_allclose(e1, e2, rtol=1e-4, atol=1e-5)
    d1 = ours.evaluate(x, y, verbose=0, return_dict=True)
    d2 = theirs.evaluate(x, y, verbose=0, return_dict=True)
    assert list(d1) == list(d2)
    p1, p2 = ours.predict(x, verbose=0), theirs.predict(x, verbose=0)
    assert type(p1) is type(p2)
    if isinstance(p1, dict):
        p1, p2 = ([p[name] for name in sorted(p)] for p in (p1, p2))
    assert_same(p1 if isinstance(p1, list) else [p1], p2 if isinstance(p2, list) else [p2])


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_classifier(pair: Any, data: Any, optimizer: str) -> None:
    x, y = data(75, 6)
    models = pair(
        mlp,
        optimizer=optimizer,
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy", "sparse_top_k_categorical_accuracy"],
    )
    check_all(*models, x, y)


def test_classifier_with_validation(pair: Any, data: Any) -> None:
    x, y = data(100, 6)
    models = pair(
        mlp, optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    check_all(*models, x, y, validation_split=0.25, validation_batch_size=7)


def test_regression_with_regularizers(pair: Any, data: Any) -> None:
    x, _ = data(75, 6)
    y = x.sum(axis=1)
    models = pair(regression, optimizer="sgd", loss="mse", metrics=["mae", "mse"])
    check_all(*models, x, y)


def test_cnn_with_batch_normalization(pair: Any, data: Any) -> None:
    x, y = data(24, 6, 6, 2)
    models = pair(
        cnn,
        optimizer=lambda k: k.optimizers.SGD(0.05, momentum=0.9),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    check_all(*models, x, y, batch_size=8)


def test_class_weight(pair: Any, data: Any) -> None:
    x, y = data(75, 6)
    models = pair(
        mlp,
        optimizer="sgd",
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        weighted_metrics=["accuracy"],
    )
    check_all(*models, x, y, class_weight={0: 0.2, 1: 3.0})


def test_sample_weight(pair: Any, data: Any) -> None:
    x, y = data(75, 6)
    weight = np.linspace(0, 2, 75)
    models = pair(
        mlp,
        optimizer="sgd",
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        weighted_metrics=["accuracy", "sparse_categorical_crossentropy"],
    )
    check_all(*models, x, y, sample_weight=weight)


@pytest.mark.parametrize(
    ("loss", "loss_weights", "metrics"),
    [
        (["sparse_categorical_crossentropy", "mse"], [0.5, 2.0], None),
        (["sparse_categorical_crossentropy", "mse"], None, [["accuracy"], ["mae", "mse"]]),
        ({"a": "sparse_categorical_crossentropy", "b": "mae"}, {"a": 1.0, "b": 0.1}, {"b": "mae"}),
        (["sparse_categorical_crossentropy", "mse"], None, ["accuracy", "mae"]),
    ],
)
def test_two_outputs(pair: Any, data: Any, loss: Any, loss_weights: Any, metrics: Any) -> None:
    x, y = data(75, 6)
    models = pair(
        two_outputs, optimizer="sgd", loss=loss, loss_weights=loss_weights, metrics=metrics
    )
    check_all(*models, x, [y, x[:, :1]])


def test_sample_weights_of_two_outputs(pair: Any, data: Any) -> None:
    x, y = data(75, 6)
    models = pair(
        two_outputs,
        optimizer="sgd",
        loss={"a": "sparse_categorical_crossentropy", "b": "mse"},
        weighted_metrics={"a": ["accuracy"], "b": ["mae"]},
    )
    targets, weights = [y, x[:, :1]], [np.ones(75), x[:, 1] ** 2]
    check_all(*models, x, targets, sample_weight=weights)
    ours = models[0]
    by_name = ours.evaluate(
        x,
        dict(zip("ab", targets, strict=True)),
        sample_weight=dict(zip("ab", weights, strict=True)),
        verbose=0,
    )
    assert by_name == ours.evaluate(x, targets, sample_weight=weights, verbose=0)


def test_dict_outputs(pair: Any, data: Any) -> None:
    x, y = data(75, 6)
    models = pair(
        dict_outputs,
        optimizer="sgd",
        loss={"first": "sparse_categorical_crossentropy", "second": "mse"},
        metrics={"first": ["accuracy"], "second": ["mae"]},
    )
    check_all(*models, x, {"first": y, "second": x[:, :1]})


def test_an_output_without_loss(pair: Any, data: Any) -> None:
    x, y = data(75, 6)
    models = pair(two_outputs, optimizer="sgd", loss=["sparse_categorical_crossentropy", None])
    for model in models:
        model.fit(x, [y, x[:, :1]], batch_size=16, shuffle=False, verbose=0)
    assert_same(models[0].get_weights(), models[1].get_weights())


def test_two_inputs_by_list_and_by_name(pair: Any, data: Any) -> None:
    def build(k: Any) -> Any:
        a, b = k.Input((4,), name="left"), k.Input((2,), name="right")
        return k.Model([a, b], k.layers.Dense(1)(k.layers.Concatenate()([a, b])))

    x, _ = data(40, 6)
    ours, theirs = pair(build, optimizer="sgd", loss="mse")
    for inputs in ([x[:, :4], x[:, 4:]], {"right": x[:, 4:], "left": x[:, :4]}):
        for model in (ours, theirs):
            model.fit(inputs, x[:, :1], batch_size=16, shuffle=False, verbose=0)
        assert_same(ours.get_weights(), theirs.get_weights())
        assert_same([ours.predict(inputs, verbose=0)], [theirs.predict(inputs, verbose=0)])


def test_shuffled_training_sees_the_samples_in_keras_order(pair: Any, data: Any) -> None:
    x, y = data(75, 6)
    models = pair(mlp, optimizer="sgd", loss="sparse_categorical_crossentropy")
    for model in models:
        # Keras draws one order more in the first call, to build the model.
        model.fit(x, y, batch_size=16, shuffle=False, verbose=0)
        np.random.seed(5)
        model.fit(x, y, batch_size=16, epochs=2, verbose=0)
    assert_same(models[0].get_weights(), models[1].get_weights())


def test_on_batch_methods(pair: Any, data: Any) -> None:
    x, y = data(20, 6)
    ours, theirs = pair(
        mlp, optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    for arguments in ({}, {"sample_weight": np.linspace(0, 1, 20)}, {"class_weight": {0: 2.0}}):
        np.testing.assert_allclose(
            ours.train_on_batch(x, y, **arguments),
            theirs.train_on_batch(x, y, **arguments),
            rtol=1e-4,
        )
    named = ours.train_on_batch(x, y, return_dict=True)
    expected = theirs.train_on_batch(x, y, return_dict=True)
    assert list(named) == list(expected)
    np.testing.assert_allclose(list(named.values()), list(expected.values()), rtol=1e-4)
    np.testing.assert_allclose(ours.test_on_batch(x, y), theirs.test_on_batch(x, y), rtol=1e-4)
    assert_same([ours.predict_on_batch(x)], [theirs.predict_on_batch(x)])
    assert_same(ours.get_weights(), theirs.get_weights())


def test_a_model_without_metrics_returns_one_number(pair: Any, data: Any) -> None:
    x, _ = data(20, 6)
    ours, theirs = pair(regression, optimizer="sgd", loss="mse")
    result = ours.evaluate(x, x[:, 0], verbose=0)
    assert isinstance(result, float)
    np.testing.assert_allclose(result, theirs.evaluate(x, x[:, 0], verbose=0), rtol=1e-5)
    assert isinstance(ours.train_on_batch(x, x[:, 0]), float)


def test_subclassed_model(pair: Any, data: Any) -> None:
    def build(k: Any) -> Any:
        class Net(k.Model):  # type: ignore[misc, name-defined]  # the module is an argument
            def __init__(self) -> None:
                super().__init__()
                self.hidden = k.layers.Dense(8, activation="relu")
                self.drop = k.layers.Dropout(0.0)
                self.out = k.layers.Dense(3)

            def call(self, x: Any, training: bool = False) -> Any:
                return self.out(self.drop(self.hidden(x), training=training))

        return Net()

    x, y = data(75, 6)
    models = pair(
        build,
        x,
        optimizer="sgd",
        loss=lambda k: k.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    check_all(*models, x, y)


def test_user_metrics_losses_and_functions(pair: Any, data: Any) -> None:
    x, _ = data(40, 6)

    def squared(k: Any) -> Any:
        def my_loss(y_true: Any, y_pred: Any) -> Any:
            return k.ops.mean(k.ops.square(y_true - y_pred), axis=-1)

        return my_loss

    models = pair(
        regression,
        optimizer="sgd",
        loss=squared,
        metrics=lambda k: [k.metrics.MeanAbsoluteError(name="m"), squared(k), "mse", "mse"],
    )
    check_all(*models, x, x[:, :1])


def test_crossentropy_by_shape(pair: Any, data: Any) -> None:
    x, y = data(40, 6)
    one_hot = np.eye(3, dtype=np.float32)[y]
    for target in (y, one_hot):
        models = pair(mlp, optimizer="sgd", loss="crossentropy", metrics=["acc"])
        check_all(*models, x, target)
