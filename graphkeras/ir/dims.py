"""Symbolic sizes: the batch dimension is a name, not a number.

A dimension (`Dim`) is an `int` or a `Size`. A `Size` is a polynomial with integer
coefficients over named run-time dimensions, kept in one normal form so that equal sizes
compare equal::

    N            Size.symbol("N")
    49*N         Size.symbol("N") * 49          a Flatten that swallowed the batch
    N*N + -1     polynomials, not only products

Only what shapes need is offered: sum, difference, product and *exact* division. A size that
would need rounding (half of an unknown batch) is an error at trace time, not a wrong number
at run time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from graphkeras.frozen import frozen

Monomial = tuple[tuple[str, int], ...]
"""A product of powers, sorted by name: `(("N", 2),)` is N squared, `()` is 1."""


@frozen
class Size:
    """A non-constant polynomial over named dimensions. Build it with `Size.symbol`."""

    terms: tuple[tuple[Monomial, int], ...]

    @staticmethod
    def symbol(name: str) -> Size:
        """The run-time dimension called `name`."""
        return Size(((((name, 1),), 1),))

    @property
    def symbols(self) -> frozenset[str]:
        """Names of the run-time dimensions in this size."""
        return frozenset(name for monomial, _ in self.terms for name, _ in monomial)

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """The number this size is when the named dimensions have the given values."""
        total = 0
        for monomial, coefficient in self.terms:
            product = coefficient
            for name, power in monomial:
                product *= sizes[name] ** power
            total += product
        return total

    def __add__(self, other: Dim) -> Dim:
        if not isinstance(other, (int, Size)):
            return NotImplemented
        return _normal([*self.terms, *_terms(other)])

    def __radd__(self, other: int) -> Dim:
        return self + other

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        if not isinstance(other, (int, Size)):
            return NotImplemented
        return self + other * -1

    def __rsub__(self, other: int) -> Dim:
        return (self * -1) + other

    def __mul__(self, other: Dim) -> Dim:
        if not isinstance(other, (int, Size)):
            return NotImplemented
        return _normal(
            (_multiply(m1, m2), c1 * c2) for m1, c1 in self.terms for m2, c2 in _terms(other)
        )

    def __rmul__(self, other: int) -> Dim:
        return self * other

    def __floordiv__(self, other: Dim) -> Dim:
        """Exact quotient. Raises `ValueError` where the division leaves a remainder."""
        return divide(self, other)

    def __str__(self) -> str:
        return " + ".join(_monomial_text(m, c) for m, c in self.terms)

    __repr__ = __str__


Dim = int | Size
"""One dimension of a shape: a number, or a size known only at run time."""

Shape = tuple[Dim, ...]


def _terms(dim: Dim) -> tuple[tuple[Monomial, int], ...]:
    return dim.terms if isinstance(dim, Size) else (((), dim),)


def _multiply(a: Monomial, b: Monomial) -> Monomial:
    powers = dict(a)
    for name, power in b:
        powers[name] = powers.get(name, 0) + power
    return tuple(sorted(powers.items()))


def _normal(terms: Iterable[tuple[Monomial, int]]) -> Dim:
    total: dict[Monomial, int] = {}
    for monomial, coefficient in terms:
        total[monomial] = total.get(monomial, 0) + coefficient
    kept = {m: c for m, c in total.items() if c}
    if not kept or set(kept) == {()}:
        return kept.get((), 0)
    return Size(tuple(sorted(kept.items(), reverse=True)))


def _monomial_text(monomial: Monomial, coefficient: int) -> str:
    factors = [name if power == 1 else f"{name}^{power}" for name, power in monomial]
    if coefficient != 1 or not factors:
        factors.insert(0, str(coefficient))
    return "*".join(factors)


def parse_dim(text: str) -> Dim:
    """Inverse of `str(dim)`: `"2*N + 1"` -> `2*N + 1`. Raises `ValueError` on bad text."""
    total: Dim = 0
    for term in text.split("+"):
        product: Dim = 1
        for factor in term.strip().split("*"):
            name, hat, power = factor.strip().partition("^")
            if name.lstrip("-").isdigit() and not hat:
                product = product * int(name)
            elif name.isidentifier() and (power.isdigit() or not hat):
                for _ in range(int(power or 1)):
                    product = product * Size.symbol(name)
            else:
                raise ValueError(f"not a dimension: {text!r}")
        total = total + product
    return total


def divide(a: Dim, b: Dim) -> Dim:
    """Exact `a / b`. Raises `ValueError` where it is not exact for every value of the symbols."""
    if isinstance(a, int) and isinstance(b, int):
        if b == 0 or a % b:
            raise ValueError(f"{a} is not divisible by {b}")
        return a // b
    if len(_terms(b)) != 1:
        if a == b:
            return 1
        raise ValueError(f"cannot divide {a} by {b}")
    ((divisor, scale),) = _terms(b)
    quotient: list[tuple[Monomial, int]] = []
    if a == 0:
        return 0
    for monomial, coefficient in _terms(a):
        powers = dict(monomial)
        for name, power in divisor:
            powers[name] = powers.get(name, 0) - power
        if scale == 0 or coefficient % scale or any(p < 0 for p in powers.values()):
            raise ValueError(f"{a} is not divisible by {b}")
        left = tuple(sorted((n, p) for n, p in powers.items() if p))
        quotient.append((left, coefficient // scale))
    return _normal(quotient)


def product(dims: Iterable[Dim]) -> Dim:
    """Number of elements of a shape."""
    total: Dim = 1
    for dim in dims:
        total = total * dim
    return total


def evaluate(dim: Dim, sizes: Mapping[str, int]) -> int:
    """The number a dimension is, given the run-time dimensions."""
    return dim.evaluate(sizes) if isinstance(dim, Size) else dim


def concrete(shape: Iterable[Dim], sizes: Mapping[str, int]) -> tuple[int, ...]:
    """A shape as numbers, given the run-time dimensions."""
    return tuple(int(evaluate(dim, sizes)) for dim in shape)


def extents(shape: Iterable[Dim], sizes: Mapping[str, int]) -> tuple[int, ...]:
    """A shape as numbers, where the run-time dimensions may be less than what is cut off.

    A dimension is a polynomial, which is negative there (`x[1:]` of no samples): nothing is left.
    """
    return tuple(max(0, dim) for dim in concrete(shape, sizes))


def is_static(shape: Iterable[Dim]) -> bool:
    """Whether every dimension is a plain number."""
    return all(isinstance(dim, int) for dim in shape)


def number(dim: Dim) -> int:
    """A dimension that is known to be a plain number."""
    assert isinstance(dim, int)
    return dim
