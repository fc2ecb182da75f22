"""What single layers promise beyond the contract of all layers."""

from __future__ import annotations

import warnings

import keras as real_keras
import numpy as np
import pytest

from graphkeras import layers, ops

X = np.random.default_rng(0).normal(size=(4, 6, 3)).astype("float32")


def test_lambda_passes_arguments_and_mode() -> None:
    def scaled(x: object, factor: float, training: bool | None = None) -> object:
        return ops.multiply(x, factor if training else 1.0)

    layer = layers.Lambda(scaled, arguments={"factor": 3.0})
    np.testing.assert_allclose(layer(X, training=True), 3 * X)
    np.testing.assert_allclose(layer(X), X)
    copy = layers.Lambda.from_config(layer.get_config())
    np.testing.assert_allclose(copy(X, training=True), 3 * X)


def test_lambda_finds_its_output_shape() -> None:
    assert layers.Lambda(lambda x: ops.sum(x, axis=1))(layers.Input((6, 3))).shape == (None, 3)
    declared = layers.Lambda(lambda x: x, output_shape=(6, 3))
    assert declared.compute_output_shape((None, 6, 3)) == (None, 6, 3)
    computed = layers.Lambda(lambda x: x, output_shape=lambda shape: shape)
    assert computed.compute_output_shape((2, 6, 3)) == (2, 6, 3)


def test_batch_normalization_ignores_masked_positions_like_keras() -> None:
    mask = np.random.default_rng(1).random((4, 6)) < 0.7
    ours, theirs = layers.BatchNormalization(), real_keras.layers.BatchNormalization()
    actual = ours(X, training=True, mask=mask)
    expected = theirs(X, training=True, mask=mask)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)


def test_a_frozen_batch_normalization_is_in_inference_mode() -> None:
    layer = layers.BatchNormalization()
    layer.build((None, 6, 3))
    layer.trainable = False
    before = layer.get_weights()
    np.testing.assert_array_equal(layer(X, training=True), layer(X, training=False))
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert layer.trainable_weights == []
    assert len(layer.non_trainable_weights) == 4


def test_moving_statistics_converge_to_those_of_the_data() -> None:
    layer = layers.BatchNormalization(momentum=0.5)
    for _ in range(30):
        layer(X, training=True)
    np.testing.assert_allclose(layer.moving_mean.numpy(), X.mean((0, 1)), atol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), X.var((0, 1)), rtol=1e-4)


def test_masked_steps_do_not_count_in_the_average() -> None:
    mask = np.array([[True] * 4 + [False] * 2] * 4)
    output = layers.GlobalAveragePooling1D()(X, mask=mask)
    np.testing.assert_allclose(output, X[:, :4].mean(axis=1), rtol=1e-5, atol=1e-6)


def test_softmax_gives_masked_positions_nothing() -> None:
    mask = np.array([True, True, False])
    output = np.asarray(layers.Softmax()(X, mask=np.broadcast_to(mask, X.shape)))
    np.testing.assert_array_equal(output[..., 2], 0)
    np.testing.assert_allclose(output.sum(-1), 1, rtol=1e-5)


def test_masks_are_computed_like_keras() -> None:
    ids = np.array([[1, 0, 2], [0, 0, 3]], "int32")
    np.testing.assert_array_equal(
        layers.Embedding(5, 2, mask_zero=True).compute_mask(ids), ids != 0
    )
    assert layers.Embedding(5, 2).compute_mask(ids) is None
    steps = np.array([[[0, 0], [1, 0]]], "float32")
    np.testing.assert_array_equal(layers.Masking().compute_mask(steps), [[False, True]])
    a, b = np.array([[True, False]]), np.array([[False, False]])
    pair = [np.zeros((1, 2, 3), "float32")] * 2
    np.testing.assert_array_equal(layers.Add().compute_mask(pair, [a, b]), [[True, False]])
    assert layers.Add().compute_mask(pair, [a, None]) is None
    np.testing.assert_array_equal(
        layers.Concatenate(axis=1).compute_mask(pair, [a, None]), [[True, False, True, True]]
    )


def test_embedding_starts_from_given_weights() -> None:
    table = np.arange(6, dtype="float32").reshape(3, 2)
    for weights in (table, [table]):
        layer = layers.Embedding(3, 2, weights=weights)
        np.testing.assert_array_equal(layer(np.array([2, 0])), table[[2, 0]])


def test_embedding_reads_float_ids() -> None:
    layer = layers.Embedding(3, 2)
    np.testing.assert_array_equal(layer(np.array([2.0, 0.0])), layer(np.array([2, 0])))


def test_functional_forms_are_the_layers() -> None:
    a, b = X, X[:, ::-1]
    pairs = [
        (layers.add, a + b),
        (layers.subtract, a - b),
        (layers.multiply, a * b),
        (layers.average, (a + b) / 2),
        (layers.maximum, np.maximum(a, b)),
        (layers.minimum, np.minimum(a, b)),
        (layers.concatenate, np.concatenate([a, b], -1)),
        (layers.dot, np.einsum("nad,nbd->nab", a, b)),
    ]
    for function, expected in pairs:
        np.testing.assert_allclose(function([a, b]), expected, rtol=1e-5, atol=1e-5)


def test_aliases_are_the_same_classes() -> None:
    assert layers.MaxPool2D is layers.MaxPooling2D
    assert layers.AvgPool1D is layers.AveragePooling1D
    assert layers.GlobalAvgPool2D is layers.GlobalAveragePooling2D
    assert layers.Convolution2D is layers.Conv2D


def test_dimensions_known_only_at_run_time_pass_through() -> None:
    text = layers.Input((None,), dtype="int32")
    embedded = layers.Embedding(9, 4)(text)
    assert embedded.shape == (None, None, 4)
    assert layers.GlobalAveragePooling1D()(embedded).shape == (None, 4)
    assert layers.Flatten()(embedded).shape == (None, None)


def test_rms_scaling_is_that_of_keras() -> None:
    with pytest.warns(DeprecationWarning, match="rms_scaling"):
        ours = layers.LayerNormalization(rms_scaling=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = real_keras.layers.LayerNormalization(rms_scaling=True)
        expected = theirs(X)
    np.testing.assert_allclose(ours(X), expected, rtol=1e-5, atol=1e-5)


def test_deprecated_arguments_still_work() -> None:
    with pytest.warns(UserWarning, match="negative_slope"):
        assert layers.LeakyReLU(alpha=0.1).negative_slope == 0.1
    with pytest.warns(UserWarning, match="input_length"):
        layers.Embedding(3, 2, input_length=7)
