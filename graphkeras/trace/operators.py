"""Python's operators for tensors, symbolic tensors and variables, in terms of `graphkeras.ops`."""

from __future__ import annotations

from typing import Any

from graphkeras.errors import NoValueError

OF_UFUNC = {
    "add": "add",
    "bitwise_and": "bitwise_and",
    "bitwise_or": "bitwise_or",
    "bitwise_xor": "bitwise_xor",
    "divide": "true_divide",
    "equal": "equal",
    "floor_divide": "floor_divide",
    "greater": "greater",
    "greater_equal": "greater_equal",
    "less": "less",
    "less_equal": "less_equal",
    "matmul": "matmul",
    "multiply": "multiply",
    "not_equal": "not_equal",
    "power": "power",
    "remainder": "mod",
    "subtract": "subtract",
}
"""The function behind each operator, by the name NumPy knows the operator by."""


def _ops() -> Any:
    from graphkeras import ops

    return ops


class Operators:
    """Mixin: `x + y`, `x @ y`, `x[1:]`, ... call the function of the same meaning."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """What NumPy calls for `array + tensor`, and for `np.exp(tensor)`, which is refused."""
        if method == "__call__" and ufunc.__name__ in OF_UFUNC and not kwargs:
            return getattr(_ops(), OF_UFUNC[ufunc.__name__])(*inputs)
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        raise NoValueError(
            f"NumPy's {name} cannot work on {self!r}, which has no value while a model is built "
            "or traced. Use the function of keras.ops of the same meaning"
        )

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
