"""A program that can be called: `executable(arrays) -> arrays`.

    check inputs -> sizes -> arena and argv -> one launch of the whole table -> outputs

State (inputs that an output aliases) is updated in the caller's arrays.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from graphkeras.codegen.program import Program
from graphkeras.errors import ShapeError
from graphkeras.ir.dims import evaluate
from graphkeras.ir.op import Array
from graphkeras.locks import fork_safe
from graphkeras.passes.memory import Layout
from graphkeras.passes.record import PassRecord
from graphkeras.runtime import kernel_cache, pool
from graphkeras.runtime.barriers import find_barriers
from graphkeras.runtime.batches import Feeder, Rows
from graphkeras.runtime.context import Binding, Context, Slots, address_of, aligned_arrays
from graphkeras.runtime.cores import available_cores
from graphkeras.runtime.signature import Shapes, Signature
from graphkeras.runtime.slices import find_slices

if TYPE_CHECKING:
    from graphkeras.runtime.profile import Profile

_REMEMBERED = 256
"""Sets of input shapes whose sizes and memory plan are kept."""

_Key = TypeVar("_Key")
_Made = TypeVar("_Made")


class Executable:
    """Native code for a graph, for every run-time size.

    May be called from several threads at once. A program that updates state runs one call at
    a time.

    Args:
        program: Kernels, launch table and memory plan.
        threads: Largest number of threads; None for all. 1 is best below about 10
            microseconds of work.

    Attributes:
        program: The program.
        compile_seconds: Time to compile or load the kernels.
        tuning: What was found by timing kernels, to print; None where nothing was timed.

    Raises:
        KernelCompileError: A kernel does not compile.
        ValueError: A run-time size does not follow from the inputs, or no launch writes an
            output.
    """

    def __init__(self, program: Program, threads: int | None = None) -> None:
        self.program = program
        self.threads = threads
        self.tuning: Any = None
        self._signature = Signature(program.signature)
        self._slots = Slots(program)
        for index, slots in self._slots.outputs.items():
            if not slots:
                raise ValueError(f"no launch of {program.signature.name!r} writes output {index}")
        begin = time.perf_counter()
        self._kernels = kernel_cache.load([launch.kernel for launch in program.launches])
        self.compile_seconds = time.perf_counter() - begin
        self._constants = _copy_constants(program.constants)
        self._bindings: dict[Shapes, Binding] = {}
        self._layouts: dict[tuple[tuple[str, int], ...], Layout] = {}
        self._teams: dict[tuple[object, ...], Array] = {}
        self._free: deque[Context] = deque(maxlen=_most_idle())
        self._pool: Callable[[], pool.Pool | None] = _no_pool if threads == 1 else pool.current
        self._state = fork_safe(threading.Lock()) if program.signature.aliases else None

    def __call__(self, inputs: Sequence[Array], state: Sequence[Array] = ()) -> tuple[Array, ...]:
        """Runs the program.

        Args:
            inputs: An array for each graph input, of its dtype and shape. Those that an output
                aliases must be C-contiguous and writable, and are updated in place.
            state: The arrays of the last inputs, where `inputs` leaves them out: those of fixed
                shapes that are the same in every call. They are looked at only where this is
                another object than in the call before.

        Returns:
            The outputs that alias no input, in order, in fresh memory.

        Raises:
            StructureError: Not as many arrays as inputs.
            DataTypeError: An array has another dtype.
            ShapeError: A shape does not fit, two arrays disagree on a run-time size, or it is less
                than what is sliced out of it.
            ValueError: An array to be updated is read-only or not contiguous.
        """
        if self._state is None:
            return self._run(inputs, state)
        with self._state:
            return self._run(inputs, state)

    def write(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
        """Runs a program without state into given memory.

        Args:
            inputs: As for a call.
            outputs: C-contiguous arrays of the shapes and dtypes of the outputs.

        Raises:
            ShapeError: As for a call.
        """
        self._run(inputs, (), outputs)

    def forget_state(self) -> None:
        """Lets go of the `state` of past calls, so that its memory can be freed."""
        idle = []
        with suppress(IndexError):
            while True:
                idle.append(self._free.pop())
                idle[-1].forget_state()
        self._free.extend(idle)

    def run_batches(
        self,
        feeder: Feeder,
        rows: Rows,
        state: Sequence[Array],
        outputs: Sequence[Array] | None = None,
        watch: bool = False,
    ) -> tuple[Sequence[Array], int]:
        """Runs the program over many batches in one native call.

        Args:
            feeder: Has the samples of the first inputs.
            rows: Which samples, in batches of which size.
            state: The other inputs, the same for all batches.
            outputs: Heads (the part for the first batch) of arrays for the outputs of all
                batches; by default only those of the last batch are kept.
            watch: Whether to stop behind a batch whose first output is not finite.

        Returns:
            The outputs of the last batch that was run, or `outputs`; and the number of batches
            that were run.

        Raises:
            ShapeError: As for a call; nothing has been run then.
        """
        inputs, team = feeder.first(rows), self._pool()
        with self._state or nullcontext():
            context = self._take_context()
            try:
                kept = context.prepare(inputs, state, team, outputs)
                results = kept[: len(self._slots.outputs)]
                done = feeder.run(context, team, rows, inputs, results, outputs is not None, watch)
            finally:
                self._free.append(context)
        return results, done

    def profile(self, inputs: Sequence[Array], repeats: int = 20, roofline: bool = True) -> Profile:
        """Times every launch on every thread. The arrays of the caller are not changed.

        Args:
            inputs: As for a call.
            repeats: How many runs to take the median of, after one that is not counted.
            roofline: Whether to measure the machine too, once a process: about a second.

        Returns:
            The report: `print` it, or write it with `to_chrome_trace`.

        Raises:
            RuntimeError: Other programs keep so many cores busy that the threads never run at
                once.
        """
        from graphkeras.runtime.machine import measure_machine
        from graphkeras.runtime.profile import make_profile

        runs = self._record(inputs, repeats)
        machine = measure_machine() if roofline else None
        sizes = self._signature.sizes(tuple(inputs[i].shape for i in self._signature.dynamic))
        return make_profile(self.program, sizes, self.layout(sizes), runs, machine)

    def launch_seconds(self, inputs: Sequence[Array], repeats: int) -> Array:
        """Seconds `[run, launch]` that the slowest thread works on a launch.

        From each thread's own begin: the clocks of two cores may be 50 microseconds apart.

        Args:
            inputs: As for a call; the arrays are not changed.
            repeats: How many runs to time, after one that is not counted.

        Raises:
            RuntimeError: As for `profile`.
        """
        runs = self._record(inputs, repeats)
        seconds: Array = (runs[..., 1] - runs[..., 0]).max(axis=1) / 1e9
        return seconds

    def _record(self, inputs: Sequence[Array], repeats: int) -> Array:
        """What every thread did when; see `Job.profile`."""
        updated = self._signature.updated
        own = [a.copy() if i in updated else a for i, a in enumerate(inputs)]
        context = self._new_context()
        kept = context.prepare(own, (), self._pool())
        context.job.run()
        runs = context.job.profile(repeats)
        del kept
        return runs

    @property
    def records(self) -> Sequence[PassRecord]:
        """What each pass of the compiler did; a program from the cache finds out when asked."""
        return self.program.records

    @property
    def launch_count(self) -> int:
        """Number of kernel launches in a call."""
        return len(self.program.launches)

    def layout(self, sizes: Mapping[str, int]) -> Layout:
        """The memory plan for the given run-time sizes."""
        key = tuple(sorted(sizes.items()))
        return _remembered(self._layouts, key, lambda: self.program.arena.layout(dict(sizes)))

    def barriers(self, sizes: Mapping[str, int], threads: int) -> int:
        """Number of times that a team of `threads` waits for all its members in a call."""
        needed = find_barriers(self.program.launches, sizes, self.layout(sizes), threads)
        return sum(needed)

    def peak_bytes(self, sizes: Mapping[str, int]) -> int:
        """Bytes of the arena for the given run-time sizes, scratch memory not counted."""
        return self.layout(sizes).peak_bytes

    def _free_teams(self, sizes: Mapping[str, int], planned: Mapping[str, int], team: int) -> Array:
        """For each launch the team that needs no barrier behind it: `team`, or 0 for none."""

        def found() -> Array:
            launches, layout = self.program.launches, self.layout(planned)
            needed = find_barriers(launches, sizes, layout, team)
            slices = find_slices(launches, sizes, layout, team, needed)
            return np.column_stack([np.where(needed, 0, team), np.array(slices).reshape(-1, 2)])

        key = (*sorted(sizes.items()), *sorted(planned.items()), team)
        return _remembered(self._teams, key, found)

    def _run(
        self,
        inputs: Sequence[Array],
        state: Sequence[Array],
        outputs: Sequence[Array] | None = None,
    ) -> tuple[Array, ...]:
        context = self._take_context()
        try:
            kept = context.prepare(inputs, state, self._pool(), outputs)
            context.job.run()
        finally:
            self._free.append(context)
        return kept[: len(self._slots.outputs)]

    def _take_context(self) -> Context:
        """A context that no other call uses; goes back to `_free` after the call."""
        try:
            return self._free.pop()
        except IndexError:
            return self._new_context()

    def _new_context(self) -> Context:
        return Context(
            self.program,
            self._slots,
            self._signature,
            self._kernels,
            [address_of(array) for array in self._constants],
            self._bind,
            self.layout,
            self._free_teams,
            self.threads,
        )

    def _bind(self, shapes: Shapes) -> Binding:
        sizes = self._signature.sizes
        return _remembered(self._bindings, shapes, lambda: self._new_binding(sizes(shapes)))

    def _new_binding(self, sizes: Mapping[str, int]) -> Binding:
        for limit in self.program.limits:
            if evaluate(limit.spare, sizes) < 0:
                raise ShapeError(
                    f"graph {self.program.signature.name!r}: the {limit.reader} needs elements "
                    f"that there are not for "
                    f"{', '.join(f'{name} = {size}' for name, size in sizes.items())}; give "
                    f"larger batches, or slice less"
                )
        types = [value.type for value in self.program.signature.outputs]
        outputs = tuple(
            (slots, types[index].concrete(sizes), np.dtype(types[index].dtype))
            for index, slots in self._slots.outputs.items()
        )
        return Binding(sizes, self._slots.size_values(sizes), outputs)


@cache
def _most_idle() -> int:
    """Contexts kept for the next calls: each has an arena, and a core runs one at a time."""
    return available_cores()


def _no_pool() -> None:
    return None


def _remembered(known: dict[_Key, _Made], key: _Key, make: Callable[[], _Made]) -> _Made:
    """What is known for a key, or is made for it now. Other threads may do the same."""
    made = known.get(key)
    if made is None:
        made = make()
        if len(known) >= _REMEMBERED:
            known.clear()
        known[key] = made
    return made


def _copy_constants(constants: Sequence[Array]) -> list[Array]:
    """Aligned copies."""
    copies = aligned_arrays([(array.shape, array.dtype) for array in constants])
    for copy, array in zip(copies, constants, strict=True):
        copy[...] = array
    return copies
