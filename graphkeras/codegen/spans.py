"""Which bytes each thread of a launch touches: sums of loop variables, and their bounds.

A kernel shares out the iterations `[0, extent)` of one loop in contiguous runs. An offset in a
buffer is kept as a `Form`, a sum of atoms times sizes, in which quotients and remainders of a
position that was taken apart cancel again::

    row // 7 * 70 + row % 7 * 10 + j    ->    10 * row + j

For numbers as sizes and one thread's run `[low, high)` every atom has a smallest and a largest
value, hence every form has bounds and every access is an interval of elements. The bounds may
be wider than what is touched, never narrower. What cannot be followed is the whole buffer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphkeras.ir.dims import Dim, evaluate


class Atom:
    """A number of a running kernel; two atoms are the same only if they are one object."""


class Edge(Atom):
    """The first iteration of a thread's run, or the first behind it."""


LOW, HIGH = Edge(), Edge()


@dataclass(frozen=True, eq=False)
class Between(Atom):
    """Any number from `first` to `last`: a loop variable, or one that a condition bounds."""

    first: Form
    last: Form


@dataclass(frozen=True, eq=False)
class Quotient(Atom):
    """`dividend // divisor`, both not negative."""

    dividend: Form
    divisor: Dim


@dataclass(frozen=True, eq=False)
class Least(Atom):
    """The smaller of two."""

    a: Form
    b: Form


@dataclass(frozen=True)
class Form:
    """A sum of atoms, each times a size, and of a size."""

    terms: tuple[tuple[Atom, Dim], ...]
    constant: Dim = 0

    def plus(self, other: Form, times: Dim = 1) -> Form:
        """`self + times * other`."""
        total = dict(self.terms)
        for atom, factor in other.terms:
            total[atom] = total.get(atom, 0) + factor * times
        kept = tuple((atom, factor) for atom, factor in total.items() if factor != 0)
        return Form(kept, self.constant + other.constant * times)


def number(value: Dim) -> Form:
    """A form without atoms."""
    return Form((), value)


def atom_form(atom: Atom) -> Form:
    """One atom as a form."""
    return Form(((atom, 1),))


class Bounds:
    """Smallest and largest values for given sizes and the run `[low, high)` of one thread."""

    def __init__(self, sizes: Mapping[str, int], low: int, high: int) -> None:
        self.sizes = sizes
        self._known: dict[Atom, tuple[int, int]] = {LOW: (low, low), HIGH: (high, high)}

    def of(self, form: Form) -> tuple[int, int]:
        """Bounds of a form. The lower may exceed the upper where code is never reached."""
        least = most = evaluate(form.constant, self.sizes)
        for atom, factor in form.terms:
            times = evaluate(factor, self.sizes)
            ends = self._atom(atom)
            least += times * ends[times < 0]
            most += times * ends[times >= 0]
        return least, most

    def _atom(self, atom: Atom) -> tuple[int, int]:
        known = self._known.get(atom)
        if known is None:
            known = self._known[atom] = self._find(atom)
        return known

    def _find(self, atom: Atom) -> tuple[int, int]:
        if isinstance(atom, Between):
            return self.of(atom.first)[0], self.of(atom.last)[1]
        if isinstance(atom, Quotient):
            least, most = self.of(atom.dividend)
            # A size of nothing divides nothing: no iteration gets here.
            divisor = max(1, evaluate(atom.divisor, self.sizes))
            return least // divisor, most // divisor
        assert isinstance(atom, Least)
        a, b = self.of(atom.a), self.of(atom.b)
        return min(a[0], b[0]), min(a[1], b[1])


@dataclass(frozen=True)
class Access:
    """Elements of one argument that a thread reads or writes."""

    argument: int
    """Position in the launch's arguments."""
    writes: bool
    offset: Form | None
    """None: any element."""
    count: Dim
    """Elements of the buffer."""
    itemsize: int


@dataclass(frozen=True)
class Footprint:
    """What a kernel touches, and how its iterations are shared out."""

    accesses: tuple[Access, ...]
    extent: Dim
    work: Dim
    grain: int
    multiple: int

    def parts(self, team: int, sizes: Mapping[str, int]) -> int:
        """How many threads of a team get work."""
        return min(team, 1 + self.grains(sizes))

    def grains(self, sizes: Mapping[str, int]) -> int:
        """Pieces of work worth a thread of their own."""
        return evaluate(self.work, sizes) // self.grain

    def run(self, tid: int, team: int, sizes: Mapping[str, int]) -> tuple[int, int]:
        """Iterations `[low, high)` of a thread, as the printed kernel computes them."""
        parts = self.parts(team, sizes)
        if tid >= parts:
            return 0, 0
        extent, multiple = evaluate(self.extent, sizes), self.multiple
        units = -(-extent // multiple)
        low, high = (min(extent, units * i // parts * multiple) for i in (tid, tid + 1))
        return low, high

    def intervals(
        self, tid: int, team: int, sizes: Mapping[str, int]
    ) -> list[tuple[Access, int, int]]:
        """Each access of a thread with the bytes `[start, stop)` of its buffer it may touch.

        Args:
            tid: The thread.
            team: How many threads there are.
            sizes: Values of the run-time sizes.
        """
        low, high = self.run(tid, team, sizes)
        if low >= high:
            return []
        bounds = Bounds(sizes, low, high)
        found = []
        for access in self.accesses:
            first, last = 0, evaluate(access.count, sizes) - 1
            if access.offset is not None:
                least, most = bounds.of(access.offset)
                first, last = max(first, least), min(last, most)
            if first <= last:
                found.append((access, first * access.itemsize, (last + 1) * access.itemsize))
        return found
