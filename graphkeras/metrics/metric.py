"""The base of all metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, Self, TypeVar

import numpy as np

from graphkeras import initializers, names
from graphkeras.config import floatx
from graphkeras.trace import run_eagerly
from graphkeras.variables import Variable

P = ParamSpec("P")
R = TypeVar("R")


def at_once(method: Callable[P, R]) -> Callable[P, R]:
    """Makes a method compute in one go: into the graph being traced, else with NumPy."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        result: R = run_eagerly(method, *args, **kwargs)
        return result

    return call


class Metric:
    """Base of metrics: variables that `update_state` changes and `result` reads.

    A subclass makes its variables in `__init__` with `add_variable`, and implements
    `update_state` and `result` with `keras.ops`, so that both become part of the training
    graph. Called outside a graph, they compute at once with NumPy.

    Args:
        dtype: Dtype of the computation; `config.floatx()` by default.
        name: Name of the metric; made from the class name by default.

    Example:
        >>> class Count(Metric):
        ...     def __init__(self, name="count"):
        ...         super().__init__(name=name)
        ...         self.total = self.add_variable((), "zeros", name="total")
        ...     def update_state(self, y_true, y_pred, sample_weight=None):
        ...         self.total.assign_add(ops.sum(y_true))
        ...     def result(self):
        ...         return self.total
    """

    _direction: str | None = None
    """`"up"` where larger values are better, `"down"` where smaller ones are; for callbacks."""

    def __init__(self, dtype: str | None = None, name: str | None = None) -> None:
        self._variables: list[Variable] = []
        self._metrics: list[Metric] = []
        self.name = name or names.auto_name(type(self).__name__)
        self._dtype = str(np.dtype(dtype or floatx()))

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Variable) and not any(v is value for v in self._tracked("_variables")):
            self._variables.append(value)
        elif isinstance(value, Metric) and not any(m is value for m in self._tracked("_metrics")):
            self._metrics.append(value)
        super().__setattr__(name, value)

    def _tracked(self, name: str) -> list[Any]:
        if name not in self.__dict__:
            raise RuntimeError(
                f"Metric {type(self).__name__} was used before `super().__init__()`. Call it "
                "first in `__init__`."
            )
        tracked: list[Any] = self.__dict__[name]
        return tracked

    @property
    def dtype(self) -> str:
        """Dtype of the computation."""
        return self._dtype

    @property
    def variables(self) -> list[Variable]:
        """The metric's variables, then those of metrics it holds."""
        nested = [v for metric in self._tracked("_metrics") for v in metric.variables]
        return [*self._tracked("_variables"), *nested]

    def add_variable(
        self,
        shape: tuple[int, ...] | list[int],
        initializer: Any = None,
        dtype: str | None = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> Variable:
        """A new variable of the metric.

        Args:
            shape: Its shape.
            initializer: Name of an initializer, or an initializer; zeros by default.
            dtype: Its dtype; `config.floatx()` by default.
            aggregation: Accepted for compatibility; there is one device.
            name: Its name.

        Returns:
            The variable, which is not trainable.
        """
        variables = self._tracked("_variables")
        with names.name_scope(self.name.replace("/", ">"), self):
            variable = Variable(
                initializers.get("zeros" if initializer is None else initializer),
                shape=tuple(shape),
                dtype=dtype,
                trainable=False,
                aggregation=aggregation,
                name=name,
            )
        variables.append(variable)
        return variable

    def add_weight(
        self,
        shape: tuple[int, ...] | list[int] = (),
        initializer: Any = None,
        dtype: str | None = None,
        name: str | None = None,
    ) -> Variable:
        """The same as `add_variable`."""
        return self.add_variable(shape, initializer, dtype, name=name)

    def reset_state(self) -> None:
        """Sets all variables to zero, as at the start of an epoch."""
        for variable in self.variables:
            variable.assign(np.zeros(variable.shape, variable.dtype))

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Takes a batch into account; usually `(y_true, y_pred, sample_weight=None)`."""
        raise NotImplementedError(f"{type(self).__name__} must implement update_state().")

    def result(self) -> Any:
        """The value over all batches since the last `reset_state`."""
        raise NotImplementedError(f"{type(self).__name__} must implement result().")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Updates the state and returns the result."""
        self._tracked("_variables")
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this metric again."""
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A metric with the arguments `get_config` returned."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"
