"""Reading the pickled batches of CIFAR without running anything that they hold.

A pickle may name any function of any module and have it called. The reader here resolves the
few names that a pickled byte array needs to inert stand-ins, and refuses all other names; not
even NumPy's own reconstruction functions are called with data from the file.
"""

from __future__ import annotations

import io
import math
import pickle
from typing import Any

import numpy as np

from graphkeras.datasets._files import ByteArray, DatasetFormatError

_IMAGE_BYTES = 3 * 32 * 32
_MALFORMED = (
    pickle.UnpicklingError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


def read_batch(content: bytes, label: str) -> tuple[ByteArray, ByteArray]:
    """Reads a pickled batch of CIFAR-10.

    Args:
        content: The bytes of the batch's file.
        label: Names the file in error messages.

    Returns:
        Images of shape `(n, 3072)` and labels of shape `(n,)`, both `uint8`.

    Raises:
        DatasetFormatError: The file is corrupt, or refers to something other than plain data.
    """
    try:
        batch = _PlainDataUnpickler(io.BytesIO(content), encoding="bytes").load()
        fields = {_text(key): value for key, value in batch.items()}
        images = fields["data"].to_array()
        labels = np.array(fields["labels"], dtype=np.int64)
    except _MALFORMED as error:
        raise DatasetFormatError(f"{label} is not a readable CIFAR batch: {error}") from error
    if images.ndim != 2 or images.shape[1] != _IMAGE_BYTES or labels.shape != images.shape[:1]:
        raise DatasetFormatError(
            f"{label} holds images of shape {images.shape} with labels of shape {labels.shape}"
        )
    if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) <= 9:
        raise DatasetFormatError(f"{label} holds labels outside the range from 0 to 9")
    return images, labels.astype(np.uint8)


def _text(key: str | bytes) -> str:
    return key.decode("utf-8") if isinstance(key, bytes) else key


class _ArrayState:
    """What a pickle says about an array: its shape, element type and bytes."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._state = state

    def to_array(self) -> ByteArray:
        """Builds the array that the state describes.

        Raises:
            ValueError: The state does not describe an array of unsigned bytes.
        """
        _, shape, dtype, fortran_order, data = self._state
        if not isinstance(dtype, _ElementType) or dtype.code not in ("u1", "|u1"):
            raise ValueError("its array does not hold unsigned bytes")
        if not isinstance(data, bytes) or len(data) != math.prod(shape):
            raise ValueError("its array's bytes do not fill its shape")
        flat: ByteArray = np.frombuffer(data, dtype=np.uint8)
        array: ByteArray = flat.reshape(shape, order="F" if fortran_order else "C")
        return array.copy()


class _ElementType:
    """What a pickle says about the elements of an array."""

    __slots__ = ("code",)

    def __init__(self, code: str) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Ignores byte order and alignment, which mean nothing for single bytes."""


class _NewArray:
    """Stands for `numpy.core.multiarray._reconstruct`."""

    __slots__ = ()

    def __call__(self, *_arguments: object) -> _ArrayState:
        return _ArrayState()


class _NewElementType:
    """Stands for `numpy.dtype`."""

    __slots__ = ()

    def __call__(self, code: str | bytes, *_arguments: object) -> _ElementType:
        return _ElementType(_text(code))


class _Encode:
    """Stands for `_codecs.encode`, by which Python 3 writes bytes in old pickle protocols."""

    __slots__ = ()

    def __call__(self, text: str, encoding: str | bytes = "latin1") -> bytes:
        if _text(encoding) != "latin1":
            raise ValueError(f"it asks for the encoding {encoding!r}")
        return text.encode("latin1")


class _PlainDataUnpickler(pickle.Unpickler):
    """Unpickles plain data and arrays of bytes, and refuses every other name."""

    def find_class(self, module_name: str, global_name: str) -> object:
        """Returns the inert stand-in for a name.

        Raises:
            pickle.UnpicklingError: The name is not one of those that an array needs.
        """
        match (module_name, global_name):
            case ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct"):
                return _NewArray()
            case ("numpy", "ndarray"):
                return global_name
            case ("numpy", "dtype"):
                return _NewElementType()
            case ("_codecs", "encode"):
                return _Encode()
        raise pickle.UnpicklingError(f"it refers to {module_name}.{global_name}, which is refused")
