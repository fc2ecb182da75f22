"""Sequences of unequal length as one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkeras.errors import DataError

if TYPE_CHECKING:
    import numpy.typing as npt


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: str = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> npt.NDArray[Any]:
    """Pads or cuts sequences to one length.

    Args:
        sequences: Sequences of numbers, or of arrays of one shape.
        maxlen: Length of the result; the longest sequence's by default.
        dtype: Dtype of the result.
        padding: `"pre"` puts padding in front of a sequence, `"post"` behind it.
        truncating: `"pre"` drops values at the front of a sequence too long, `"post"` at its end.
        value: The padding value.

    Returns:
        An array of shape `(len(sequences), maxlen, ...)`.

    Raises:
        DataError: An argument is none of its choices, or items differ in shape.
    """
    for name, choice in (("padding", padding), ("truncating", truncating)):
        if choice not in ("pre", "post"):
            raise DataError(f"pad_sequences: {name} must be 'pre' or 'post', received {choice!r}")
    arrays = [np.asarray(sequence) for sequence in sequences]
    if any(array.ndim == 0 for array in arrays):
        raise DataError("pad_sequences: every item of `sequences` must be a sequence")
    length = max((len(array) for array in arrays), default=0) if maxlen is None else maxlen
    item = next((array.shape[1:] for array in arrays if len(array)), ())
    result = np.full((len(arrays), length, *item), value, dtype=dtype)
    for row, array in zip(result, arrays, strict=True):
        if not len(array) or not length:
            continue
        if array.shape[1:] != item:
            raise DataError(
                f"pad_sequences: items must have one shape, expected {item}, "
                f"received {array.shape[1:]}"
            )
        kept = array[-length:] if truncating == "pre" else array[:length]
        if padding == "pre":
            row[-len(kept) :] = kept
        else:
            row[: len(kept)] = kept
    return result
