"""Array functions of `keras.utils`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkeras.errors import LabelRangeError

if TYPE_CHECKING:
    import numpy.typing as npt


def to_categorical(x: npt.ArrayLike, num_classes: int | None = None) -> npt.NDArray[np.float64]:
    """Converts class numbers to a binary class matrix.

    Args:
        x: Class numbers from 0 to `num_classes - 1`, in any shape; a last axis of length 1 is
            dropped.
        num_classes: Total number of classes; `max(x) + 1` by default.

    Returns:
        A float64 array with a new last axis of length `num_classes`, zero but for a one at each
        class number.

    Raises:
        LabelRangeError: (an IndexError) A class number is `num_classes` or more.

    Example:
        >>> to_categorical([0, 2, 1])
        array([[1., 0., 0.],
               [0., 0., 1.],
               [0., 1., 0.]])
    """
    classes = np.array(x, dtype=np.int64)
    shape = classes.shape
    if len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    flat = classes.reshape(-1)
    width = int(num_classes) if num_classes else int(np.max(flat)) + 1
    if flat.size and not -width <= flat.min() <= flat.max() < width:
        bad = flat.max() if flat.max() >= width else flat.min()
        raise LabelRangeError(
            f"to_categorical: the class number {bad} does not fit num_classes={width}. Expected "
            f"0 to {width - 1}"
        )
    matrix = np.zeros((flat.size, width), dtype=np.float64)
    matrix[np.arange(flat.size), flat] = 1
    return matrix.reshape((*shape, width))


def normalize(x: npt.ArrayLike, axis: int | None = -1, order: int = 2) -> npt.NDArray[Any]:
    """Divides an array by its norm along an axis.

    Vectors of norm zero are left as they are. As in Keras, the norms of axis 0 are aligned with
    the last axis of the array.

    Args:
        x: Array to normalize.
        axis: Axis along which the norm is taken; None takes the norm of the whole array.
        order: Order of the norm, for example 2 for the Euclidean norm.

    Returns:
        A normalized copy of the array.
    """
    array = np.asarray(x)
    norm = np.atleast_1d(np.linalg.norm(array, order, axis))
    norm[norm == 0] = 1
    result: npt.NDArray[Any] = array / np.expand_dims(norm, axis or -1)
    return result
