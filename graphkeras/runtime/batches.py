"""Runs a program over many batches of rows in one native call.

    arrays of all samples      order of rows (a shuffle), or none
            │                        │
            ├── in order, as the program wants them: the program reads them where they lie,
            │   and its address of the input moves on by a batch
            └── else: a kernel gathers (and converts) the rows of a batch into a buffer

Between two batches no Python runs: `batch_kernels.run_batches` launches the program, with the
gathering kernel as the first row of its table, looks at the loss, and adds to a list of words what
each of them changes by from batch to batch.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from graphkeras.frozen import frozen
from graphkeras.ir.op import Array
from graphkeras.runtime import kernel_cache
from graphkeras.runtime.context import Context, address_of, aligned
from graphkeras.runtime.pool import Pool, launch_address

_COPY = {1: 0, 4: 1, 8: 2}
"""Bytes of an element -> code for a copy."""
_TO_FLOAT32 = {"float64": 3, "uint8": 4, "bool": 4, "int32": 5, "int64": 6}
"""Dtype -> code for a conversion to float32."""


@cache
def _native() -> tuple[Callable[[int], int], int]:
    """The function that runs batches, and the address of the kernel that gathers."""
    text = Path(__file__).with_name("batch_kernels.py").read_text(encoding="utf-8")
    run, gather = kernel_cache.load_functions(
        [
            kernel_cache.Function("batches", text, "run_batches", ("int64",), "int64"),
            kernel_cache.Function("gather", text, "gather"),
        ]
    )
    # A CFUNCTYPE call releases the interpreter lock.
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(run), gather


@frozen
class Rows:
    """`batches` batches of `size` samples each, from sample `start` of the order on."""

    start: int
    size: int
    batches: int
    order: Array | None = None
    """int64 numbers of samples, or `None` for the samples as they lie."""


@frozen
class Source:
    """The samples of one input.

    Attributes:
        array: All samples; the first axis counts them.
        shape: Shape of one sample as the program wants it, of as many elements.
        dtype: Dtype the program wants.
    """

    array: Array
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]

    @property
    def readable(self) -> bool:
        """Whether its rows can be read by native code: contiguous, of a dtype it converts."""
        array = self.array
        same = array.dtype == self.dtype and array.itemsize in _COPY
        known = self.dtype == np.float32 and array.dtype.name in _TO_FLOAT32
        return (
            (same or known)
            and array.dtype.isnative
            and array.flags.aligned
            and array.ndim > 0
            and len(array) > 0
            and array[0].flags.c_contiguous
            and math.prod(array.shape[1:]) == math.prod(self.shape)
        )

    @property
    def in_place(self) -> bool:
        """Whether the program can read the samples where they lie."""
        return self.array.dtype == self.dtype and self.array.flags.c_contiguous

    def code(self) -> int:
        """The conversion, for the kernel that gathers."""
        same = self.array.dtype == self.dtype
        return _COPY[self.dtype.itemsize] if same else _TO_FLOAT32[self.array.dtype.name]


class Feeder:
    """Feeds the rows of arrays to the first inputs of a program.

    Args:
        sources: The samples of each of these inputs, all readable.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._buffers: list[Array | None] = [None] * len(sources)

    def first(self, rows: Rows) -> list[Array]:
        """The arrays that are the inputs of the first batch: views of the data, or buffers."""
        return [
            source.array[rows.start : rows.start + rows.size].reshape((rows.size, *source.shape))
            if rows.order is None and source.in_place
            else self._buffer(i, rows.size)
            for i, source in enumerate(self._sources)
        ]

    def _buffer(self, index: int, size: int) -> Array:
        source, buffer = self._sources[index], self._buffers[index]
        if buffer is None or len(buffer) < size:
            nbytes = size * math.prod(source.shape) * source.dtype.itemsize
            memory, begin = aligned(nbytes)
            skip = begin - address_of(memory)
            whole = memory[skip : skip + nbytes].view(source.dtype)
            buffer = self._buffers[index] = whole.reshape((size, *source.shape))
        return buffer[:size]

    def run(
        self,
        context: Context,
        pool: Pool | None,
        rows: Rows,
        inputs: Sequence[Array],
        outputs: Sequence[Array],
        collect: bool,
        watch: bool,
    ) -> int:
        """Runs a prepared program over the rows.

        Args:
            context: Prepared with `inputs`, the arrays of the first batch, and `outputs`.
            pool: The pool, or `None` for one thread.
            rows: The batches.
            inputs: What `first` gave.
            outputs: The outputs of the first batch.
            collect: Whether these are the heads of arrays for the outputs of all batches; else
                each batch overwrites those of the batch before.
            watch: Whether to stop behind a batch whose first output is not finite.

        Returns:
            The number of batches that were run.
        """
        moves: list[tuple[int, int]] = []
        gathered: list[int] = []
        for i, (source, array) in enumerate(zip(self._sources, inputs, strict=True)):
            if rows.order is None and source.in_place:
                moves += [(word, array.nbytes) for word in context.input_words(i)]
            else:
                whole = source.array
                elements = math.prod(source.shape)
                gathered += [address_of(whole), whole.strides[0], address_of(array)]
                gathered += [elements, source.code()]
        if collect:
            for words, output in zip(context.output_words(), outputs, strict=True):
                moves += [(word, output.nbytes) for word in words]
        job, arguments = context.job, None
        if gathered:
            order = 0 if rows.order is None else address_of(rows.order)
            head = (order, rows.start, rows.size, len(gathered) // 5)
            arguments = np.array([*head, *gathered], np.int64)
            moves.append((address_of(arguments) + 8, rows.size))
            job = job.behind(_native()[1], address_of(arguments), pool)
        table = np.array(moves, np.int64).reshape(-1, 2)
        loss = (address_of(outputs[0]), outputs[0].itemsize) if watch else (0, 0)
        fields = (launch_address(), job.address, rows.batches, *loss, address_of(table), len(table))
        plan = np.array(fields, np.int64)
        return _native()[0](address_of(plan))
