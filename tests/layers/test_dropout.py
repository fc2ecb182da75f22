"""Random layers: right statistics, reproducible by seed, silent at inference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphkeras import layers

ONES = np.ones((100, 400), "float32")


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_the_rate_and_scales_the_rest(rate: float) -> None:
    output = np.asarray(layers.Dropout(rate, seed=3)(ONES, training=True))
    kept = output != 0
    assert abs(kept.mean() - (1 - rate)) < 0.01
    np.testing.assert_allclose(output[kept], 1 / (1 - rate), rtol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: layers.Dropout(0.5, seed=seed),
        lambda seed: layers.GaussianNoise(0.5, seed=seed),
        lambda seed: layers.GaussianDropout(0.5, seed=seed),
    ],
)
def test_the_seed_decides(make: Any) -> None:
    first, same, other = make(1), make(1), make(2)
    a1, a2 = first(ONES, training=True), first(ONES, training=True)
    b1, b2 = same(ONES, training=True), same(ONES, training=True)
    np.testing.assert_array_equal(a1, b1)
    np.testing.assert_array_equal(a2, b2)
    assert np.any(a1 != a2), "every call draws anew"
    assert np.any(a1 != other(ONES, training=True))


@pytest.mark.parametrize(
    "layer",
    [
        layers.Dropout(0.5),
        layers.GaussianNoise(0.5),
        layers.GaussianDropout(0.5),
        layers.Dropout(0.5, noise_shape=(None, 1)),
    ],
)
def test_nothing_happens_at_inference(layer: Any) -> None:
    np.testing.assert_array_equal(layer(ONES, training=False), ONES)
    np.testing.assert_array_equal(layer(ONES), ONES)


def test_dropping_everything_gives_zeros() -> None:
    np.testing.assert_array_equal(layers.Dropout(1.0)(ONES, training=True), ONES * 0)


def test_noise_shape_shares_draws() -> None:
    output = np.asarray(layers.Dropout(0.5, noise_shape=(None, 1), seed=1)(ONES, training=True))
    assert np.all(output == output[:, :1])
    assert 0 < (output[:, 0] == 0).mean() < 1


@pytest.mark.parametrize(
    ("layer", "shape", "axes"),
    [
        (layers.SpatialDropout1D(0.5, seed=1), (8, 5, 16), (1,)),
        (layers.SpatialDropout2D(0.5, seed=1), (8, 5, 6, 16), (1, 2)),
        (layers.SpatialDropout2D(0.5, "channels_first", seed=1), (8, 16, 5, 6), (2, 3)),
    ],
)
def test_spatial_dropout_drops_whole_channels(
    layer: Any, shape: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    output = np.asarray(layer(np.ones(shape, "float32"), training=True))
    low, high = output.min(axis=axes), output.max(axis=axes)
    np.testing.assert_array_equal(low, high)
    assert 0.3 < (low == 0).mean() < 0.7


def test_gaussian_layers_have_the_right_moments() -> None:
    noise = np.asarray(layers.GaussianNoise(0.5, seed=1)(ONES, training=True)) - 1
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 0.5) < 0.01
    dropout = np.asarray(layers.GaussianDropout(0.2, seed=1)(ONES, training=True))
    assert abs(dropout.mean() - 1) < 0.01
    assert abs(dropout.std() - 0.5) < 0.01


def test_masks_have_different_draws_in_different_layers() -> None:
    a = layers.Dropout(0.5)(ONES, training=True)
    b = layers.Dropout(0.5)(ONES, training=True)
    assert np.any(a != b)
