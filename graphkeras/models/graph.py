"""The graph of a functional model: which calls lead from its inputs to its outputs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

from graphkeras import tree
from graphkeras.layers.tracking import is_layer
from graphkeras.trace import CallNode, FunctionCall, KerasTensor, current_scope


class CallGraph:
    """The calls between symbolic inputs and outputs, in an order in which they can run.

    Calls are ordered as in Keras, by their distance from the outputs: this order is that of
    `model.layers` and of the weights.

    Args:
        inputs: nested structure of symbolic tensors.
        outputs: nested structure of symbolic tensors.
        name: name of the model, for messages.

    Raises:
        ValueError: where an output depends on an input that is not among `inputs`, or something
            is no symbolic tensor.
    """

    def __init__(self, inputs: Any, outputs: Any, name: str = "model") -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.name = name
        self.flat_inputs: list[KerasTensor] = tree.flatten(inputs)
        self.flat_outputs: list[KerasTensor] = tree.flatten(outputs)
        self._check_symbolic("inputs", self.flat_inputs)
        self._check_symbolic("outputs", self.flat_outputs)
        if len({id(t) for t in self.flat_inputs}) != len(self.flat_inputs):
            raise ValueError(f"the inputs of model {name!r} name the same tensor twice")
        self.nodes, self.operations = self._ordered(self._reachable())

    def _check_symbolic(self, what: str, tensors: list[Any]) -> None:
        for tensor in tensors:
            if not isinstance(tensor, KerasTensor):
                hint = ""
                if is_layer(tensor):
                    hint = " It is a layer: call it on a tensor and give the result."
                raise ValueError(
                    f"The {what} of a model must be symbolic tensors, received {tensor!r} of "
                    f"type {type(tensor).__name__}.{hint} Make inputs with keras.Input(shape)."
                )

    def _reachable(self) -> list[CallNode]:
        """The calls the outputs need, each after the calls it needs."""
        given = {id(t) for t in self.flat_inputs}
        done: dict[int, CallNode] = {}
        for output in self.flat_outputs:
            for node in self._needed(output, given, done):
                done[id(node)] = node
        return list(done.values())

    def _needed(
        self, output: KerasTensor, given: set[int], done: dict[int, CallNode]
    ) -> Iterator[CallNode]:
        """Depth first, without recursion: models are deeper than Python's stack."""
        if output.node is None:
            raise self._disconnected(output, output)
        entered: set[int] = set()
        stack: list[tuple[KerasTensor, bool]] = [(output, False)]
        while stack:
            tensor, left = stack.pop()
            node = tensor.node
            if node is not None and left:
                yield node
                continue
            if node is None or (not node.inputs and id(tensor) not in given):
                if node is None or id(node) not in done:
                    raise self._disconnected(tensor, output)
                continue
            if id(node) in done or id(node) in entered:
                continue
            entered.add(id(node))
            stack.append((tensor, True))
            if id(tensor) not in given:
                stack.extend((t, False) for t in reversed(node.inputs))

    def _disconnected(self, tensor: KerasTensor, output: KerasTensor) -> ValueError:
        names = ", ".join(repr(t.name) for t in self.flat_inputs)
        return ValueError(
            f"Graph disconnected in model {self.name!r}: the output {output!r} needs {tensor!r}, "
            f"which is not among the inputs [{names}]. Add it to `inputs`, or build the outputs "
            "from the given inputs only."
        )

    def _ordered(self, found: list[CallNode]) -> tuple[list[CallNode], list[Any]]:
        """Calls and operations, farthest from the outputs first."""
        given = {id(t) for t in self.flat_inputs}
        rank = self._first_visits()
        node_depth: dict[int, int] = {}
        op_depth: dict[int, int] = {}
        operations: dict[int, Any] = {}
        for node in reversed(found):
            depth = max(node_depth.get(id(node), 0), op_depth.get(id(node.operation), 0))
            node_depth[id(node)] = op_depth[id(node.operation)] = depth
            operations[id(node.operation)] = node.operation
            if all(id(t) not in given for t in tree.leaves(node.outputs)):
                for tensor in node.inputs:
                    if tensor.node is not None:
                        key = id(tensor.node)
                        node_depth[key] = max(depth + 1, node_depth.get(key, 0))
        for tensor in self.flat_inputs:
            if tensor.node is not None and id(tensor.node.operation) not in operations:
                operations[id(tensor.node.operation)] = tensor.node.operation
                op_depth[id(tensor.node.operation)] = 0
        position = {id(node): i for i, node in enumerate(found)}
        nodes = sorted(found, key=lambda n: (-node_depth[id(n)], position[id(n)]))
        ordered = sorted(operations.values(), key=lambda o: (-op_depth[id(o)], rank.get(id(o), -1)))
        return nodes, ordered

    def _first_visits(self) -> dict[int, int]:
        """When a walk from the outputs towards the inputs first meets each operation."""
        given = {id(t) for t in self.flat_inputs}
        rank: dict[int, int] = {}
        seen: set[int] = set()
        stack = list(reversed(self.flat_outputs))
        while stack:
            tensor = stack.pop()
            node = tensor.node
            if node is None or id(node) in seen:
                continue
            seen.add(id(node))
            rank.setdefault(id(node.operation), len(rank))
            if id(tensor) not in given:
                stack.extend(reversed(node.inputs))
        return rank

    def run(
        self, flat_inputs: list[Any], replace: Callable[[Any], Any] = lambda operation: operation
    ) -> Any:
        """The outputs for the given inputs.

        Args:
            flat_inputs: a value for each input; tensors, or symbolic tensors to copy the graph.
            replace: the operation to call in the place of each operation of the graph.
        """
        values = dict(zip((id(t) for t in self.flat_inputs), flat_inputs, strict=True))

        def value(leaf: Any) -> Any:
            return values[id(leaf)] if isinstance(leaf, KerasTensor) else leaf

        for node in self.nodes:
            made = tree.flatten(node.outputs)
            if all(id(t) in values for t in made):
                continue
            args, kwargs = tree.map_structure(value, (node.args, node.kwargs))
            results = _call(node, replace(node.operation), args, kwargs)
            for tensor, result in zip(made, tree.flatten(results), strict=True):
                values.setdefault(id(tensor), result)
        return tree.map_structure(value, self.outputs)


def _call(node: CallNode, operation: Any, args: Any, kwargs: Any) -> Any:
    """Calls an operation; nodes of `keras.ops` functions get the place the user called them."""
    scope = current_scope()
    if scope is None or not isinstance(operation, FunctionCall):
        return operation(*args, **kwargs)
    with scope.layer(scope.path, sys._getframe(), node.place):
        return operation(*args, **kwargs)
