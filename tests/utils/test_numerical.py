"""`to_categorical` and `normalize` against Keras."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from graphkeras.errors import LabelRangeError
from graphkeras.utils import normalize, to_categorical


@pytest.mark.parametrize("num_classes", [None, 7])
@pytest.mark.parametrize(
    "x",
    [
        [0, 2, 1],
        3,
        [[1], [0], [4]],
        [[1, 0], [2, 3]],
        [[[1], [5]], [[0], [2]]],
        [[[1]]],
        [1.9, 0.2],
        np.array([2, 1], dtype=np.uint8),
        [-1, 2],
        [True, False],
    ],
)
def test_to_categorical(x: object, num_classes: int | None) -> None:
    actual = to_categorical(x, num_classes)
    expected = keras.utils.to_categorical(x, num_classes)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(("x", "num_classes"), [([0, 3], 3), ([-4], 3)])
def test_to_categorical_refuses_classes_out_of_range(x: list[int], num_classes: int) -> None:
    for function in (to_categorical, keras.utils.to_categorical):
        with pytest.raises(IndexError):
            function(x, num_classes)


def test_to_categorical_of_nothing() -> None:
    for function in (to_categorical, keras.utils.to_categorical):
        with pytest.raises(ValueError, match="zero-size"):
            function([])


@given(
    x=hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int32]),
        hnp.array_shapes(max_dims=3, max_side=4),
        elements=st.integers(-9, 9),
    ),
    order=st.sampled_from([1, 2, 3]),
    data=st.data(),
)
def test_normalize(x: np.ndarray, order: int, data: st.DataObject) -> None:
    axis = data.draw(st.sampled_from([-1, *range(1, x.ndim)]))
    actual = normalize(x, axis, order)
    expected = keras.utils.normalize(x, axis, order)
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected)


def test_normalize_special_axes() -> None:
    x = np.arange(9.0).reshape(3, 3)
    for axis in (0, -2, None):
        np.testing.assert_array_equal(normalize(x, axis), keras.utils.normalize(x, axis))
    np.testing.assert_array_equal(normalize(x), keras.utils.normalize(x))


def test_normalize_keeps_zero_vectors_and_input() -> None:
    x = np.array([[0.0, 0.0], [3.0, 4.0]])
    np.testing.assert_allclose(normalize(x), [[0, 0], [0.6, 0.8]])
    np.testing.assert_array_equal(x, [[0, 0], [3, 4]])


def test_normalize_accepts_lists() -> None:
    np.testing.assert_allclose(normalize([[3, 4]]), [[0.6, 0.8]])


@pytest.mark.parametrize("x", [[0, 5], [-4, 0]])
def test_a_class_number_beyond_the_number_of_classes(x: list[int]) -> None:
    for function in (keras.utils.to_categorical, to_categorical):
        with pytest.raises(IndexError):
            function(x, 3)
    with pytest.raises(LabelRangeError, match=r"does not fit num_classes=3. Expected 0 to 2"):
        to_categorical(x, 3)
