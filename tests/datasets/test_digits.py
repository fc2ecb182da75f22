"""The bundled digits."""

from __future__ import annotations

from importlib import resources

import numpy as np
import pytest

from graphkeras.datasets import digits, load_digits


def test_split() -> None:
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    assert x_train.shape == (1437, 8, 8)
    assert x_test.shape == (360, 8, 8)
    assert y_train.shape == (1437,)
    assert y_test.shape == (360,)
    assert {array.dtype for array in (x_train, y_train, x_test, y_test)} == {np.dtype(np.uint8)}
    assert x_train.max() == 16
    assert set(y_test.tolist()) == set(range(10))


def test_split_is_a_permutation() -> None:
    parts = digits.load_data(test_split=0.5, seed=7)
    together = np.concatenate([np.c_[x.reshape(len(x), 64), y] for x, y in parts])
    data, target = load_digits(return_X_y=True)
    whole = np.c_[data, target]
    np.testing.assert_array_equal(np.unique(together, axis=0), np.unique(whole, axis=0))


def test_seed_decides_the_order() -> None:
    first, again, other = (digits.load_data(seed=seed)[0][1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_no_test_part() -> None:
    (x_train, _), (x_test, _) = digits.load_data(test_split=0)
    assert len(x_train) == 1797
    assert len(x_test) == 0


@pytest.mark.parametrize("test_split", [-0.1, 1, 2.5])
def test_bad_split(test_split: float) -> None:
    with pytest.raises(ValueError, match="test_split must be"):
        digits.load_data(test_split=test_split)


def test_bunch() -> None:
    bunch = load_digits()
    assert bunch.data.shape == (1797, 64)
    assert bunch.data.dtype == np.float64
    assert bunch.images.shape == (1797, 8, 8)
    assert bunch.target.dtype == np.int64
    assert bunch["target"] is bunch.target
    assert bunch.target_names.tolist() == list(range(10))
    assert len(bunch.feature_names) == 64
    assert "Alpaydin" in bunch.DESCR
    assert "images" in dir(bunch)
    assert bunch.target[:10].tolist() == list(range(10))
    assert np.bincount(bunch.target).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert bunch.data.sum() == 561718
    bunch.extra = 1
    assert bunch["extra"] == 1
    with pytest.raises(AttributeError):
        _ = bunch.absent


def test_fewer_classes() -> None:
    data, target = load_digits(n_class=3, return_X_y=True)
    assert len(data) == len(target) == 178 + 182 + 177
    with pytest.raises(ValueError, match="n_class must be"):
        load_digits(n_class=0)


def test_licence_is_beside_the_data() -> None:
    text = (resources.files("graphkeras.datasets") / "data" / "digits.LICENSE.txt").read_text()
    assert "CC BY 4.0" in text
    assert "scikit-learn" in text
