"""Variables keep their place in memory, their shape and their dtype."""

from __future__ import annotations

import numpy as np
import pytest

import graphkeras as keras


def test_assign_writes_in_place() -> None:
    v = keras.Variable(np.zeros((2, 3), "float32"))
    address = v.buffer.ctypes.data
    v.assign(np.ones((2, 3)))
    v.assign_add(2.0 * np.ones((2, 3)))
    v.assign_sub(np.ones((2, 3)))
    np.testing.assert_array_equal(v.numpy(), np.full((2, 3), 2.0, "float32"))
    assert v.buffer.ctypes.data == address
    assert address % 64 == 0


def test_the_value_is_a_view_that_cannot_be_written() -> None:
    v = keras.Variable(np.zeros(2, "float32"))
    view = v.value
    v.assign(np.ones(2))
    assert view[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 3.0


def test_a_wrong_shape_is_refused() -> None:
    v = keras.Variable(np.zeros((2, 3), "float32"), name="kernel")
    with pytest.raises(ValueError, match=r"'kernel' of shape \(2, 3\).*received shape \(3,\)"):
        v.assign(np.zeros(3))


def test_python_numbers_and_operators() -> None:
    v = keras.Variable(3)
    assert v.dtype == "int32"
    assert keras.Variable(1.5).dtype == "float32"
    assert float(keras.Variable(1.5) * 2 - 1) == 2.0
    assert bool(keras.Variable(2.0) > 1)
    np.testing.assert_array_equal(keras.Variable(np.eye(2, dtype="float32"))[0], [1, 0])


def test_an_initializer_needs_a_known_shape() -> None:
    with pytest.raises(ValueError, match="give a shape with an initializer"):
        keras.Variable("zeros")
    with pytest.raises(ValueError, match=r"must be fully known, received \(None, 3\)"):
        keras.Variable("zeros", shape=(None, 3))


def test_numpy_functions_see_the_value() -> None:
    v = keras.Variable(np.full((2, 3), 4.0, "float32"))
    np.testing.assert_array_equal(np.sqrt(v), np.full((2, 3), 2.0))
    assert np.sum(v) == 24.0
    np.testing.assert_array_equal(np.ones((2, 3), "float32") - v, np.full((2, 3), -3.0))
