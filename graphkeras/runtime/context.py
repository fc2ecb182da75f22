"""Everything one call of a program needs for itself: its arena, its arguments, its launch table.

    table   one row a launch: kernel address, address of its part of argv, barrier
    argv    all arguments of all launches, one int64 each
    block   scratch memory of every thread, then the arena

Between two calls only what changed is written again: an input array that is the same object
as last time keeps its address (NumPy moves no array that has a weak reference), equal shapes
keep the sizes, the arena stays where it is.
"""

from __future__ import annotations

import ctypes
import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphkeras.codegen.program import Program
from graphkeras.frozen import frozen
from graphkeras.ir.dims import Dim, evaluate
from graphkeras.ir.op import Array
from graphkeras.passes.memory import Buffer, Layout, Place
from graphkeras.runtime.pool import Job, Pool, row_of
from graphkeras.runtime.signature import Shapes, Signature

GRAIN_NANOSECONDS = 2000
"""About how long a grain of work takes one thread; see `GRAIN` in `codegen/program.py`."""
_MANY = 1000
"""Grains of a kernel of which nothing is known."""

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector."""

_DATA = object.__basicsize__
"""Where NumPy's array object has its data pointer: right behind Python's object header."""


def _read_pointer(array: Array) -> int:
    return ctypes.c_void_p.from_address(id(array) + _DATA).value or 0


def _ask_numpy(array: Array) -> int:
    return int(array.ctypes.data)


_probe = np.zeros(1)
address_of: Callable[[Array], int] = (
    _read_pointer if _read_pointer(_probe) == _ask_numpy(_probe) else _ask_numpy
)
"""Address of an array's first element. `array.ctypes.data` says the same, several times slower."""


def aligned(nbytes: int) -> tuple[Array, int]:
    """Fresh memory and the first aligned address in it."""
    memory = np.empty(nbytes + ALIGNMENT, np.uint8)
    return memory, -(-address_of(memory) // ALIGNMENT) * ALIGNMENT


def aligned_arrays(kinds: Sequence[tuple[tuple[int, ...], np.dtype[Any]]]) -> list[Array]:
    """Arrays of the given shapes and dtypes, each aligned, in one block of fresh memory."""
    sizes = [math.prod(shape) * dtype.itemsize for shape, dtype in kinds]
    memory, begin = aligned(sum(-(-size // ALIGNMENT) * ALIGNMENT for size in sizes))
    at = begin - address_of(memory)
    arrays = []
    for (shape, dtype), size in zip(kinds, sizes, strict=True):
        arrays.append(memory[at : at + size].view(dtype).reshape(shape))
        at += -(-size // ALIGNMENT) * ALIGNMENT
    return arrays


class Slots:
    """Which argv entries hold what, worked out once for a program."""

    def __init__(self, program: Program) -> None:
        of: dict[Place, dict[int, list[int]]] = {place: {} for place in Place}
        dims: dict[Dim, list[int]] = {}
        self.starts: list[int] = []
        self.slices: list[tuple[int, int]] = []
        self.count = 0
        for row, launch in enumerate(program.launches):
            self.starts.append(self.count)
            for argument in launch.arguments:
                if argument == Buffer(Place.SLICES):
                    self.slices.append((row, self.count))
                elif isinstance(argument, Buffer):
                    of[argument.place].setdefault(argument.index, []).append(self.count)
                else:
                    dims.setdefault(argument, []).append(self.count)
                self.count += 1
        graph = program.signature
        self.inputs = [of[Place.INPUT].get(i, []) for i in range(len(graph.inputs))]
        self.outputs = {
            k: of[Place.OUTPUT].get(k, [])
            for k in range(len(graph.outputs))
            if k not in graph.aliases
        }
        self.constants = {i: _slots(slots) for i, slots in of[Place.CONSTANT].items()}
        self.scratch = _slots(of[Place.SCRATCH].get(0))
        self.scratch_bytes = _slots(of[Place.SCRATCH_BYTES].get(0))
        arena = [(s, i) for i, slots in of[Place.ARENA].items() for s in slots]
        self.arena = _slots([s for s, _ in arena])
        self.arena_buffers = _slots([i for _, i in arena])
        self.dims = tuple(dims)
        self.sizes = _slots([s for slots in dims.values() for s in slots])
        self._repeats = [len(slots) for slots in dims.values()]

    def size_values(self, sizes: Mapping[str, int]) -> Array:
        """The value of every entry in `sizes`."""
        values = [evaluate(dim, sizes) for dim in self.dims]
        return np.repeat(np.array(values, np.int64), self._repeats)


def _slots(positions: Sequence[int] | None) -> Array:
    return np.array(positions or (), np.int64)


@frozen
class Binding:
    """What follows from the shapes of the inputs."""

    sizes: Mapping[str, int]
    size_values: Array
    outputs: tuple[tuple[Sequence[int], tuple[int, ...], np.dtype[Any]], ...]
    """Argv entries, shape and dtype of every output that the runtime makes."""


class Context:
    """The state of one call; a program called by several threads at once has several.

    Args:
        program: The program.
        slots: Its argv entries.
        signature: Its inputs.
        kernels: Address of the kernel of every launch.
        constants: Address of every constant.
        bind: Gives the binding for the shapes of the dynamic inputs.
        layout: Gives the memory plan for run-time sizes.
        free_teams: Gives the last column of the table for run-time sizes, the sizes that
            memory is planned for, and the largest team.
        threads: Largest team; None for all threads.
    """

    def __init__(
        self,
        program: Program,
        slots: Slots,
        signature: Signature,
        kernels: Sequence[int],
        constants: Sequence[int],
        bind: Callable[[Shapes], Binding],
        layout: Callable[[Mapping[str, int]], Layout],
        free_teams: Callable[[Mapping[str, int], Mapping[str, int], int], Array],
        threads: int | None,
    ) -> None:
        self._slots, self._signature = slots, signature
        self._bind, self._layout, self._free_teams = bind, layout, free_teams
        self._scratch_bytes = program.scratch_bytes
        self._argv = np.zeros(max(slots.count, 1), np.int64)
        begin = address_of(self._argv)
        rows = [
            row_of(kernel, begin + 8 * start)
            for kernel, start in zip(kernels, slots.starts, strict=True)
        ]
        self.job = Job(rows, threads)
        for index, positions in slots.constants.items():
            self._argv[positions] = constants[index]
        self._footprints = [launch.footprint for launch in program.launches]
        self._most_threads = threads
        # Element by element this is several times faster than through the array.
        self._argv_words = memoryview(self._argv.data)
        self._state: Sequence[Array] | None = None
        self._known: list[Callable[[], Array | None]] = [_nothing] * len(signature.types)
        self._seen: list[tuple[int, ...]] = [()] * len(signature.types)
        """The shape of each array when it was last looked at."""
        self._shapes: Shapes | None = None
        self._binding: Binding | None = None
        self._planned: Mapping[str, int] | None = None
        self._pool: Pool | None = None
        self._threads = 1
        self._memory: Array | None = None

    def prepare(
        self,
        inputs: Sequence[Array],
        state: Sequence[Array],
        pool: Pool | None,
        outputs: Sequence[Array] | None = None,
    ) -> tuple[Array, ...]:
        """Makes the context ready to run on these inputs.

        Args:
            inputs: The first arrays; nothing is written where one of them is refused.
            state: The others, of fixed shapes. A sequence that is the same object as last time
                is taken to hold the same arrays.
            pool: The pool to run on, or None.
            outputs: C-contiguous arrays of the outputs' shapes and dtypes to be written; fresh
                ones by default.

        Returns:
            The outputs to be computed, then inputs that had to be copied: keep all of them
            until the program has run.
        """
        copies: Sequence[Array] = ()
        if not self._repeats(inputs, state, pool):
            copies = self._take(inputs, state, pool)
        binding = self._binding
        assert binding is not None
        if outputs is None:
            if not binding.outputs:
                return tuple(copies)
            outputs = [np.empty(shape, dtype) for _, shape, dtype in binding.outputs]
        for (slots, _, _), output in zip(binding.outputs, outputs, strict=True):
            self._write(slots, output)
        return (*outputs, *copies)

    def _repeats(self, inputs: Sequence[Array], state: Sequence[Array], pool: Pool | None) -> bool:
        """Whether everything that a call is given is as in the last one."""
        if state is not self._state or pool is not self._pool:
            return False
        if len(inputs) + len(state) != len(self._known):
            return False
        # A loop, not `all`: that would be a function, and behind a launch nothing of this is in
        # the cache, where it takes two to three times as long.
        for array, known, shape in zip(inputs, self._known, self._seen, strict=False):
            if array is None or array is not known() or array.shape != shape:
                return False
        return True

    def _take(
        self, inputs: Sequence[Array], state: Sequence[Array], pool: Pool | None
    ) -> Sequence[Array]:
        """Checks and writes what is new; returns copies of inputs, to be kept while it runs."""
        known, check = self._known, self._signature.check
        if len(inputs) + len(state) != len(known):
            self._signature.check_count(len(inputs) + len(state))
        if state is not self._state:
            inputs = [*inputs, *state]
        # What is interrupted, by Ctrl-C or for want of memory, is looked at as a whole next time.
        self._state = None
        changed: dict[int, Array] = {}
        for i, array in enumerate(inputs):
            if array is not known[i]() or array is None:
                changed[i] = check(i, array)
        if pool is not self._pool:
            self._attach(pool)
        dynamic = self._signature.dynamic
        shapes: Shapes = ()
        for i in dynamic:
            shapes += (changed.get(i, inputs[i]).shape,)
        if shapes != self._shapes or self._binding is None or self._planned is None:
            # The same array may have been given another shape in place.
            changed |= {i: check(i, inputs[i]) for i in dynamic if i not in changed}
            binding = self._bind(shapes)
            self._shapes = None
            self._resize(binding)
            self._shapes, self._binding = shapes, binding
        for i, array in changed.items():
            known[i] = _nothing
            self._write(self._slots.inputs[i], array)
            self._seen[i] = array.shape
            # A copy lives for this call only.
            known[i] = weakref.ref(array) if array is inputs[i] else _nothing
        self._state = state
        return [a for i, a in changed.items() if a is not inputs[i]]

    def forget_state(self) -> None:
        """Lets go of the arrays of the last `state`; only where no call runs."""
        self._state = None

    def _write(self, slots: Sequence[int], array: Array) -> None:
        address = address_of(array)
        for slot in slots:
            self._argv_words[slot] = address

    def input_words(self, index: int) -> list[int]:
        """Addresses of the argv entries that hold the address of an input."""
        return self._words(self._slots.inputs[index])

    def output_words(self) -> list[list[int]]:
        """For each output that the runtime makes, as `input_words`."""
        return [self._words(slots) for slots in self._slots.outputs.values()]

    def idle_row(self) -> int | None:
        """The first of those launches that one thread runs while the others wait, if there are any.

        Of several such runs the one with most work.
        """
        binding, table, team = self._binding, self.job.table, self.job.team
        assert binding is not None
        best, most, begin, work = None, 0.0, 0, 0.0
        for row, footprint in enumerate(self._footprints):
            alone = footprint is not None and footprint.parts(team, binding.sizes) == 1
            if team < 2 or footprint is None or not alone:
                begin, work = row + 1, 0.0
                continue
            work += evaluate(footprint.work, binding.sizes) / footprint.grain
            waits = table[row, 2] != team
            if waits and work > most:
                best, most = begin, work
            if waits:
                begin, work = row + 1, 0.0
        return best

    def _words(self, slots: Sequence[int]) -> list[int]:
        begin = address_of(self._argv)
        return [begin + 8 * slot for slot in slots]

    def _resize(self, binding: Binding) -> None:
        self._argv[self._slots.sizes] = binding.size_values
        planned, sizes = self._planned, binding.sizes
        # A plan serves all smaller sizes too: buffers only shrink.
        if planned is None or any(sizes[name] > planned[name] for name in sizes):
            self._place({n: max(s, planned[n] if planned else 0) for n, s in sizes.items()})
        self._set_barriers(sizes)

    def _set_barriers(self, sizes: Mapping[str, int]) -> None:
        """No team where every kernel is small, else barriers for the team there may be."""
        grains = [_MANY if each is None else each.grains(sizes) for each in self._footprints]
        self.job.limit(self._most_threads if any(grains) else 1)
        # A sleeping worker that takes longer to come than it would save is not waited for.
        self.job.wait_at_most(sum(grains) * GRAIN_NANOSECONDS // 2)
        if any(grains) and self._planned is not None:
            self.job.table[:, 2:] = self._free_teams(sizes, self._planned, self.job.team)
        else:
            self.job.table[:, 3:] = 1
        for row, slot in self._slots.slices:
            self._argv[slot] = self.job.table[row, 3]

    def _attach(self, pool: Pool | None) -> None:
        threads = pool.threads if pool else 1
        if threads > self._threads:
            planned = self._planned
            if self._scratch_bytes:
                # Unknown until there is scratch memory for all: Ctrl-C may come in between.
                self._planned = None
            self._threads = threads
            if self._scratch_bytes and planned is not None:
                self._place(planned)
        self.job.attach(pool)
        if self._binding is not None:
            self._set_barriers(self._binding.sizes)
        self._pool = pool

    def _place(self, sizes: Mapping[str, int]) -> None:
        """Allocates the block for these sizes."""
        layout = self._layout(sizes)
        scratch = self._scratch_bytes * self._threads
        self._memory = self._planned = None
        self._memory, begin = aligned(scratch + layout.peak_bytes)
        self._argv[self._slots.scratch] = begin
        self._argv[self._slots.scratch_bytes] = self._scratch_bytes
        offsets = np.array(layout.offsets, np.int64)
        self._argv[self._slots.arena] = begin + scratch + offsets[self._slots.arena_buffers]
        self._planned = sizes


def _nothing() -> None:
    return None
