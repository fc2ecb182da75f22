"""Wrong calls of `keras.ops` say what was wrong."""

from __future__ import annotations

import numpy as np
import pytest

from graphkeras import ops

X = np.zeros((3, 4), "float32")


def test_shapes_that_do_not_broadcast() -> None:
    with pytest.raises(ValueError, match=r"could not be broadcast.*\(3, 4\) and \(3,\)"):
        ops.add(X, np.zeros(3, "float32"))


def test_matmul_names_the_inner_sizes() -> None:
    with pytest.raises(ValueError, match="inner sizes must be equal, received 4 and 3"):
        ops.matmul(X, X)


def test_reshape_counts_elements() -> None:
    with pytest.raises(ValueError, match=r"shape \(3, 4\) \(12 elements\) into shape \(5, -1\)"):
        ops.reshape(X, (5, -1))


def test_where_with_a_condition_only() -> None:
    with pytest.raises(ValueError, match="depends on the data"):
        ops.where(X > 0)


def test_pooling_window_larger_than_the_image() -> None:
    with pytest.raises(ValueError, match=r"window .* is larger than the image"):
        ops.max_pool(np.zeros((1, 2, 2, 1), "float32"), 3)


def test_text_is_no_tensor() -> None:
    with pytest.raises(TypeError, match="cannot use a value of type str as a tensor"):
        ops.add(X, ["a", "b"])


def test_float16_is_not_supported() -> None:
    with pytest.raises(ValueError, match="float16 and bfloat16 are not supported"):
        ops.cast(X, "float16")


def test_axis_out_of_range() -> None:
    with pytest.raises(ValueError, match="axis 2 is out of range for a tensor with 2 dimensions"):
        ops.sum(X, axis=2)


def test_index_out_of_range() -> None:
    with pytest.raises(IndexError, match="index 3 is out of range for axis 0 with size 3"):
        ops.get_item(X, 3)


def test_one_hot_classes_for_sparse_crossentropy() -> None:
    with pytest.raises(ValueError, match="use categorical_crossentropy"):
        ops.sparse_categorical_crossentropy(X, X)
