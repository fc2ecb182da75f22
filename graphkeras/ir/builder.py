"""Builds graphs: every node that exists was emitted here, typed and located.

`Builder.emit` looks the op up, checks attributes, infers result types and appends a node.
The tracer, gradient rules and passes all build through it. `EagerBuilder` has the same face
but computes at once with the NumPy references; it serves values outside any graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from graphkeras.ir.graph import UNKNOWN, Graph, Loc, Node, Value
from graphkeras.ir.op import Array, OpTypeError, get_op
from graphkeras.ir.types import TensorType


class Builder:
    """Collects the nodes of one graph."""

    def __init__(self, name: str, made_by: str = "trace") -> None:
        self.name = name
        self.made_by = made_by
        self.inputs: list[Value] = []
        self.nodes: list[Node] = []
        self.loc: Loc = UNKNOWN
        """Location of the nodes emitted next; set it through `at`."""
        self.origins: tuple[Node, ...] = ()
        """Origins of the nodes emitted next; set it through `at`."""

    @staticmethod
    def extending(graph: Graph, made_by: str) -> Builder:
        """A builder that already holds the inputs and nodes of `graph`."""
        builder = Builder(graph.name, made_by)
        builder.inputs = list(graph.inputs)
        builder.nodes = list(graph.nodes)
        return builder

    @contextmanager
    def at(self, loc: Loc, origins: tuple[Node, ...] = ()) -> Iterator[None]:
        """Nodes emitted inside come from `loc` and `origins`."""
        saved = self.loc, self.origins
        self.loc, self.origins = loc, origins
        try:
            yield
        finally:
            self.loc, self.origins = saved

    def input(self, type: TensorType, name: str) -> Value:
        """A new graph input."""
        value = Value(type, None, len(self.inputs), name)
        self.inputs.append(value)
        return value

    def constant(self, value: Any, dtype: str | None = None, name: str = "") -> Value:
        """A literal tensor."""
        array = np.array(value, dtype=dtype)
        array.flags.writeable = False
        return self.emit("constant", value=array, name=name)

    def emit_all(self, op: str, *inputs: Value, name: str = "", **attrs: Any) -> tuple[Value, ...]:
        """Appends a node and returns its results. Raises `OpTypeError` naming the place."""
        definition = get_op(op)
        try:
            filled = definition.check_attrs(attrs)
            types = definition.infer([v.type for v in inputs], filled)
        except (OpTypeError, ValueError) as error:
            operands = ", ".join(str(v.type) for v in inputs)
            raise OpTypeError(f"{error}\n  op: {op}({operands})\n  at: {self.loc}") from error
        node = Node(
            op,
            tuple(inputs),
            filled,
            tuple(types),
            name=name,
            loc=self.loc,
            origins=self.origins,
            made_by=self.made_by,
        )
        return self._append(node)

    def emit(self, op: str, *inputs: Value, name: str = "", **attrs: Any) -> Value:
        """`emit_all` for an op with one result."""
        (value,) = self.emit_all(op, *inputs, name=name, **attrs)
        return value

    def fused(self, body: Graph, inputs: Sequence[Value], **attrs: Any) -> tuple[Value, ...]:
        """A `fused` node: `body` applied to `inputs`."""
        node = Node(
            "fused",
            tuple(inputs),
            get_op("fused").check_attrs(attrs),
            tuple(v.type for v in body.outputs),
            body=body,
            loc=self.loc,
            origins=self.origins,
            made_by=self.made_by,
        )
        return self._append(node)

    def keep(self, node: Node, inputs: Sequence[Value]) -> tuple[Value, ...]:
        """Re-emits a node of another graph on new operands, with its attributes and location.

        The same node object is used where nothing changes.
        """
        same = all(a is b for a, b in zip(node.inputs, inputs, strict=True))
        if same and node.inputs:
            return self._append(node)
        copy = replace(node, inputs=tuple(inputs), origins=(node,))
        return self._append(copy)

    def _append(self, node: Node) -> tuple[Value, ...]:
        self.nodes.append(node)
        return node.results

    def build(
        self,
        outputs: Sequence[Value],
        aliases: Mapping[int, int] | None = None,
        output_names: Sequence[str] = (),
    ) -> Graph:
        """The finished graph."""
        return Graph(
            self.name,
            tuple(self.inputs),
            tuple(self.nodes),
            tuple(outputs),
            dict(aliases or {}),
            tuple(output_names),
        )


class EagerBuilder(Builder):
    """A builder whose values are known: every emit runs the op's NumPy reference at once."""

    def __init__(self) -> None:
        super().__init__("eager")
        self.arrays: dict[Value, Array] = {}

    def known(self, array: Any, name: str = "") -> Value:
        """A value that holds `array`."""
        data = np.asarray(array)
        value = Value(TensorType(data.shape, str(data.dtype)), None, 0, name)
        self.arrays[value] = data
        return value

    def array(self, value: Value) -> Array:
        """The array of a value made by this builder."""
        return self.arrays[value]

    def _append(self, node: Node) -> tuple[Value, ...]:
        arrays = get_op(node.op).reference([self.arrays[v] for v in node.inputs], node.attrs, {})
        for value, array in zip(node.results, arrays, strict=True):
            self.arrays[value] = np.asarray(array, dtype=value.type.dtype)
        return node.results
