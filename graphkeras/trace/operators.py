"""Python's operators for tensors, symbolic tensors and variables, in terms of `graphkeras.ops`."""

from __future__ import annotations

from typing import Any


def _ops() -> Any:
    from graphkeras import ops

    return ops


class Operators:
    """Mixin: `x + y`, `x @ y`, `x[1:]`, ... call the function of the same meaning."""

    __slots__ = ()
    __array_ufunc__ = None
    """Makes NumPy leave `array + tensor` to the tensor."""
    __hash__ = object.__hash__

    def __neg__(self) -> Any:
        return _ops().negative(self)

    def __abs__(self) -> Any:
        return _ops().absolute(self)

    def __invert__(self) -> Any:
        return _ops().bitwise_not(self)

    def __add__(self, other: Any) -> Any:
        return _ops().add(self, other)

    def __radd__(self, other: Any) -> Any:
        return _ops().add(other, self)

    def __sub__(self, other: Any) -> Any:
        return _ops().subtract(self, other)

    def __rsub__(self, other: Any) -> Any:
        return _ops().subtract(other, self)

    def __mul__(self, other: Any) -> Any:
        return _ops().multiply(self, other)

    def __rmul__(self, other: Any) -> Any:
        return _ops().multiply(other, self)

    def __truediv__(self, other: Any) -> Any:
        return _ops().true_divide(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _ops().true_divide(other, self)

    def __floordiv__(self, other: Any) -> Any:
        return _ops().floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return _ops().floor_divide(other, self)

    def __mod__(self, other: Any) -> Any:
        return _ops().mod(self, other)

    def __rmod__(self, other: Any) -> Any:
        return _ops().mod(other, self)

    def __pow__(self, other: Any) -> Any:
        return _ops().power(self, other)

    def __rpow__(self, other: Any) -> Any:
        return _ops().power(other, self)

    def __matmul__(self, other: Any) -> Any:
        return _ops().matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return _ops().matmul(other, self)

    def __and__(self, other: Any) -> Any:
        return _ops().bitwise_and(self, other)

    def __rand__(self, other: Any) -> Any:
        return _ops().bitwise_and(other, self)

    def __or__(self, other: Any) -> Any:
        return _ops().bitwise_or(self, other)

    def __ror__(self, other: Any) -> Any:
        return _ops().bitwise_or(other, self)

    def __xor__(self, other: Any) -> Any:
        return _ops().bitwise_xor(self, other)

    def __rxor__(self, other: Any) -> Any:
        return _ops().bitwise_xor(other, self)

    def __eq__(self, other: Any) -> Any:
        return _ops().equal(self, other)

    def __ne__(self, other: Any) -> Any:
        return _ops().not_equal(self, other)

    def __lt__(self, other: Any) -> Any:
        return _ops().less(self, other)

    def __le__(self, other: Any) -> Any:
        return _ops().less_equal(self, other)

    def __gt__(self, other: Any) -> Any:
        return _ops().greater(self, other)

    def __ge__(self, other: Any) -> Any:
        return _ops().greater_equal(self, other)

    def __getitem__(self, key: Any) -> Any:
        return _ops().get_item(self, key)
