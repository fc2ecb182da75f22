"""Runs a program over many batches of rows in one native call.

    arrays of all samples, in order, as the program wants them
        │   it reads them where they lie: its address of the input moves on by a batch
        ▼
    a program that takes batches

    arrays of all samples, and the order of their rows
        │   its address of the order moves on by a batch
        ▼
    a program that gathers (and converts) the rows of a batch (`passes/gather_samples.py`)

Between two batches no Python runs: `batch_kernels.run_batches` launches the program, looks at the
loss, and adds to a list of words what each of them changes by from batch to batch.

Shuffled rows come from memory, one here and one there. While the first thread runs small kernels
alone, the others ask the cache for those of the next batch::

    thread 0    product │ small kernels       │ gradient ...
    thread 1    product │ ask ahead     waits │ gradient ...

In one run on two threads the step of an MLP, 32 rows of 3 KB, took 161 us in place of 168, and 164
on rows in order; asked for where all threads work it took 177 to 181.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from graphkeras.frozen import frozen
from graphkeras.ir.dims import is_static
from graphkeras.ir.op import Array
from graphkeras.ir.types import SHORT, TensorType
from graphkeras.passes.gather_samples import samples_type
from graphkeras.runtime import kernel_cache
from graphkeras.runtime.context import Context, address_of
from graphkeras.runtime.pool import Pool, launch_address

ASKED_BYTES = 1 << 17
"""Most bytes that are asked for in a step: a line takes some nanoseconds, small kernels some ten
microseconds."""


@cache
def _native() -> tuple[Callable[[int], int], int]:
    """The function that runs batches, and the address of the kernel that asks ahead."""
    text = Path(__file__).with_name("batch_kernels.py").read_text(encoding="utf-8")
    run, ask = kernel_cache.load_functions(
        [
            kernel_cache.Function("batches", text, "run_batches", ("int64",), "int64"),
            kernel_cache.Function("ask_ahead", text, "ask_ahead"),
        ]
    )
    # A CFUNCTYPE call releases the interpreter lock.
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(run), ask


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
    """The samples of one input, as a program takes them.

    Attributes:
        array: All samples, C-contiguous; the first axis counts them.
        type: Type of this array, for `gather_samples`.
        in_place: Whether a part of the array is a batch as the program wants it.
    """

    array: Array
    type: TensorType
    in_place: bool

    @staticmethod
    def of(array: Array, shape: tuple[int, ...], type: TensorType) -> Source | None:
        """The samples in an array.

        Args:
            array: The first axis counts the samples.
            shape: Shape of one sample as the program wants it.
            type: Type of a batch, as the program wants it.

        Returns:
            `None` where native code cannot read them: samples with gaps inside, that overlap, or
            of a dtype that a program does not know or would convert otherwise than NumPy does.
        """
        dtype = array.dtype
        elements = int(np.prod(shape))
        known = dtype.isnative and dtype.name in SHORT
        if not known or not (dtype == type.dtype or type.is_float) or not array.flags.aligned:
            return None
        if len(array) == 0 or not array[0].flags.c_contiguous:
            return None
        if array.flags.c_contiguous:
            whole = array.reshape((len(array), *shape))
            return Source(whole, samples_type(type, dtype.name), dtype == type.dtype)
        pitch, rest = divmod(array.strides[0], dtype.itemsize)
        if rest or pitch < elements or not is_static(type.shape[1:]):
            return None
        # What lies between two samples is never read, nor what lies behind the last one.
        lines = np.lib.stride_tricks.as_strided(
            array, (len(array), pitch), (array.strides[0], dtype.itemsize), writeable=False
        )
        return Source(lines, samples_type(type, dtype.name, pitch), False)


class Feeder:
    """Feeds the rows of arrays to the first inputs of a program.

    Args:
        sources: The samples of each of these inputs.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._in_order: Array | None = None

    @property
    def types(self) -> tuple[TensorType, ...]:
        """Types of the arrays of all samples."""
        return tuple(source.type for source in self._sources)

    def gathers(self, shuffled: bool) -> bool:
        """Whether the program must be one that gathers the rows of a batch."""
        return shuffled or not all(source.in_place for source in self._sources)

    def first(self, rows: Rows) -> list[Array]:
        """The arrays that are the inputs of the first batch."""
        arrays = [source.array for source in self._sources]
        stop = rows.start + rows.size
        if not self.gathers(rows.order is not None):
            return [array[rows.start : stop] for array in arrays]
        order = rows.order
        if order is None:
            if self._in_order is None:
                self._in_order = np.arange(len(arrays[0]), dtype=np.int64)
            order = self._in_order
        return [*arrays, order[rows.start : stop]]

    def _asked(self, rows: Rows, order: Array, numbers: Array) -> Array:
        """Arguments of the kernel that asks for the rows behind `numbers`, a part of `order`."""
        places = [
            (address_of(s.array), s.array.strides[0], s.array[0].nbytes) for s in self._sources
        ]
        most = ASKED_BYTES // max(1, sum(nbytes for _, _, nbytes in places))
        end = address_of(order) + order.nbytes
        head = (address_of(numbers), rows.size, end, most, len(places))
        return np.array([*head, *(word for place in places for word in place)], np.int64)

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
            pool: The pool that it is prepared for.
            rows: The batches.
            inputs: What `first` gave.
            outputs: The outputs of the first batch.
            collect: Whether these are the heads of arrays for the outputs of all batches; else
                each batch overwrites those of the batch before.
            watch: Whether to stop behind a batch whose first output is not finite.

        Returns:
            The number of batches that were run.
        """
        job, asked = context.job, None
        moves: list[tuple[int, int]] = []
        moved = (
            range(len(inputs))[-1:] if self.gathers(rows.order is not None) else range(len(inputs))
        )
        for i in moved:
            moves += [(word, inputs[i].nbytes) for word in context.input_words(i)]
        ahead = rows.order is not None and rows.batches > 1
        idle = context.idle_row() if ahead else None
        if rows.order is not None and idle is not None:
            asked = self._asked(rows, rows.order, inputs[-1])
            job = job.with_row(idle, _native()[1], address_of(asked), pool)
            moves.append((address_of(asked), inputs[-1].nbytes))
        if collect:
            for words, output in zip(context.output_words(), outputs, strict=True):
                moves += [(word, output.nbytes) for word in words]
        table = np.array(moves, np.int64).reshape(-1, 2)
        loss = (address_of(outputs[0]), outputs[0].itemsize) if watch else (0, 0)
        fields = (launch_address(), job.address, rows.batches, *loss, address_of(table), len(table))
        plan = np.array(fields, np.int64)
        return _native()[0](address_of(plan))
