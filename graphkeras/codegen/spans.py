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

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from itertools import count

from graphkeras.ir.dims import Dim, evaluate

_orders = count()


@dataclass(frozen=True, eq=False)
class Atom:
    """A number of a running kernel; two atoms are the same only if they are one object."""

    order: int = field(init=False, default_factory=lambda: next(_orders))
    """Greater than that of every atom it depends on."""


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
class Extreme(Atom):
    """The smaller or the larger of two."""

    a: Form
    b: Form
    least: bool


@dataclass(frozen=True)
class Form:
    """A sum of atoms, each times a size, and of a size."""

    terms: tuple[tuple[Atom, Dim], ...]
    constant: Dim = 0

    def replaced(self, old: Atom, new: Atom) -> Form:
        """The form with one atom in another's place."""
        return Form(tuple((new if a is old else a, f) for a, f in self.terms), self.constant)

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
    """Smallest and largest values for given sizes and the run `[low, high)` of one thread.

    The atom made last is replaced by its own bound first, as a form, so that it cancels with
    what it depends on::

        first + r,  r <= stop - first - 1    ->    stop - 1
    """

    def __init__(self, sizes: Mapping[str, int], low: int, high: int) -> None:
        self.sizes = sizes
        self.low, self.high = low, high
        self._known: dict[Form, int] = {}

    def of(self, form: Form) -> tuple[int, int]:
        """Bounds of a form. The lower may exceed the upper where code is never reached."""
        return -self._most(number(0).plus(form, -1)), self._most(form)

    def _most(self, form: Form) -> int:
        """An upper bound."""
        known = self._known.get(form)
        if known is None:
            known = self._known[form] = self._find(form)
        return known

    def _find(self, form: Form) -> int:
        if not form.terms:
            return evaluate(form.constant, self.sizes)
        atom, factor = max(form.terms, key=lambda term: term[0].order)
        rest = form.plus(atom_form(atom), factor * -1)
        times = evaluate(factor, self.sizes)
        if isinstance(atom, Edge):
            return times * (self.low if atom is LOW else self.high) + self._most(rest)
        if isinstance(atom, Between):
            return self._most(rest.plus(atom.last if times > 0 else atom.first, factor))
        if isinstance(atom, Extreme):
            both = [self._most(rest.plus(each, factor)) for each in (atom.a, atom.b)]
            return min(both) if atom.least == (times > 0) else max(both)
        assert isinstance(atom, Quotient)
        return self._most_of_quotient(atom, rest, times)

    def _most_of_quotient(self, atom: Quotient, rest: Form, times: int) -> int:
        # A size of nothing divides nothing: no iteration gets here.
        divisor = max(1, evaluate(atom.divisor, self.sizes))
        ends = self.of(atom.dividend)
        bound = times * (ends[times > 0] // divisor) + self._most(rest)
        if times % divisor == 0:
            # x - (d - 1) <= d * (x // d) <= x
            slack = 0 if times > 0 else divisor - 1
            exact = rest.plus(atom.dividend.plus(number(-slack)), times // divisor)
            bound = min(bound, self._most(exact))
        return bound


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
        self,
        tid: int,
        team: int,
        sizes: Mapping[str, int],
        arguments: Container[int] | None = None,
    ) -> list[tuple[Access, int, int]]:
        """Each access of a thread with the bytes `[start, stop)` of its buffer it may touch.

        Args:
            tid: The thread.
            team: How many threads there are.
            sizes: Values of the run-time sizes.
            arguments: Positions of the arguments asked for; None: all.
        """
        low, high = self.run(tid, team, sizes)
        if low >= high:
            return []
        bounds = Bounds(sizes, low, high)
        found = []
        for access in self.accesses:
            if arguments is not None and access.argument not in arguments:
                continue
            first, last = 0, evaluate(access.count, sizes) - 1
            if access.offset is not None:
                least, most = bounds.of(access.offset)
                first, last = max(first, least), min(last, most)
            if first <= last:
                found.append((access, first * access.itemsize, (last + 1) * access.itemsize))
        return found
