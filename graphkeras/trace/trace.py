"""Tracing: running Python once to write down the graph of what it computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from graphkeras.frozen import frozen
from graphkeras.ir.builder import Builder
from graphkeras.ir.graph import Graph, Value
from graphkeras.ir.types import TensorType
from graphkeras.trace.scope import Scope
from graphkeras.trace.tensor import Tensor

if TYPE_CHECKING:
    from graphkeras.variables import Variable


@frozen
class Traced:
    """A finished trace.

    `graph.inputs` are the declared inputs, then the variables; `graph.outputs` are the named
    outputs, then the next value of each assigned variable, aliased to its input.
    """

    graph: Graph
    variables: tuple[Variable, ...]
    """The variables the graph reads or writes, in input order."""
    output_names: tuple[str, ...]
    """Names of the outputs that are no variables."""

    @property
    def constant(self) -> tuple[int, ...]:
        """Positions of the inputs that are variables and get no next value."""
        inputs = len(self.graph.inputs)
        updated = self.graph.aliases.values()
        return tuple(i for i in range(inputs - len(self.variables), inputs) if i not in updated)

    @property
    def updated(self) -> tuple[Variable, ...]:
        """The variables that get a next value."""
        first = len(self.graph.inputs) - len(self.variables)
        return tuple(self.variables[i - first] for i in self.graph.aliases.values())


class Trace(Scope):
    """Collects one graph.

    Example::

        with Trace("step") as t:
            x = t.input(TensorType((Size.symbol("N"), 784)), "x")
            y = model(x)
            traced = t.finish({"y": y})

    Args:
        name: name of the graph.
    """

    def __init__(self, name: str) -> None:
        super().__init__(Builder(name))
        self._variables: list[tuple[Variable, Value]] = []

    def input(self, type: TensorType, name: str) -> Tensor:
        """Declares a graph input.

        Raises:
            RuntimeError: after a variable was read; inputs come first.
        """
        if self._variables:
            raise RuntimeError(f"declare the input {name!r} before the first variable is read")
        return self.tensor(self.builder.input(type, name))

    def _load(self, variable: Variable) -> Tensor:
        type = TensorType(tuple(variable.shape), variable.dtype)
        value = self.builder.input(type, variable.path)
        self._variables.append((variable, value))
        return self.tensor(value)

    def gradients(self, loss: Tensor, variables: Sequence[Variable]) -> list[Tensor | None]:
        """The gradient of a scalar with respect to each variable.

        Args:
            loss: scalar tensor of floating-point dtype.
            variables: variables read in this trace; the gradient is with respect to the value
                they had when first read.

        Returns:
            A tensor a variable, or None where the loss does not depend on it.

        Raises:
            ValueError: where `loss` is no scalar.
        """
        from graphkeras.passes.autodiff import gradients

        if loss.dims:
            raise ValueError(f"gradients need a scalar loss, received {loss!r}")
        wrt = []
        for variable in variables:
            self.read(variable)
            wrt.append(self._read[id(variable)][1].value)
        with self.phase("backward"):
            self.builder.loc = self.locate()
            results = gradients(self.builder, loss.value, wrt)
        return [None if value is None else self.tensor(value) for value in results]

    def assign(self, variable: Variable, tensor: Tensor) -> None:
        """Gives a variable its next value in the graph."""
        if id(variable) not in self._read:
            self._read[id(variable)] = (variable, self._load(variable))
        super().assign(variable, tensor)

    def updates(self) -> list[tuple[Variable, Tensor, Tensor]]:
        """Each variable assigned so far, its value at the start of the trace, its next value."""
        return [
            (variable, self._read[key][1], after)
            for key, (variable, after) in self._assigned.items()
        ]

    def finish(self, outputs: Mapping[str, Tensor]) -> Traced:
        """The graph of what was traced.

        Args:
            outputs: the tensors to compute, by name.
        """
        values = [tensor.value for tensor in outputs.values()]
        names = list(outputs)
        positions = {
            id(variable): self.builder.inputs.index(value) for variable, value in self._variables
        }
        aliases: dict[int, int] = {}
        for variable, tensor in self._assigned.values():
            aliases[len(values)] = positions[id(variable)]
            values.append(tensor.value)
            names.append(variable.path)
        graph = self.builder.build(values, aliases, names)
        return Traced(graph, tuple(v for v, _ in self._variables), tuple(outputs))
