"""The decorator that makes a function of tensors into one of `keras.ops`.

The body of such a function is written once, for tensors, in terms of primitives. How it is
called decides what happens::

    argument              current scope       the call
    a symbolic tensor     any                 becomes a node of a functional model
    anything else         a trace             adds primitives to the graph
    anything else         none                computes at once and returns NumPy arrays
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from graphkeras import tree
from graphkeras.ir.types import TensorType
from graphkeras.names import auto_name
from graphkeras.places import user_place
from graphkeras.trace.scope import current_scope, run_eagerly
from graphkeras.trace.symbolic_tensor import (
    CallNode,
    FunctionCall,
    KerasTensor,
    any_symbolic,
)
from graphkeras.trace.tensor import Tensor
from graphkeras.trace.trace import Trace

P = ParamSpec("P")
R = TypeVar("R")


def op(function: Callable[P, R]) -> Callable[P, R]:
    """Makes `function` callable on symbolic tensors, traced tensors, variables and NumPy data."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if any_symbolic(args, kwargs):
            name = auto_name(function.__name__)
            return record(FunctionCall(call, name), call, args, kwargs)
        scope = current_scope()
        if scope is not None:
            return scope.run(function, args, kwargs)
        return run_eagerly(function, *args, **kwargs)

    return cast("Callable[P, R]", call)


def infer(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Calls a function on stand-ins for the symbolic tensors among its arguments.

    Returns:
        What the function returned: a nested structure with tensors of a scratch graph.
    """
    stand_ins: dict[int, Tensor] = {}
    with Trace("shapes") as scratch:

        def stand_in(leaf: Any) -> Any:
            if not isinstance(leaf, KerasTensor):
                return leaf
            if id(leaf) not in stand_ins:
                stand_ins[id(leaf)] = tensor = _input(scratch, leaf)
                if leaf._keras_mask is not None:
                    tensor._keras_mask = _input(scratch, leaf._keras_mask)
            return stand_ins[id(leaf)]

        inner_args, inner_kwargs = tree.map_structure(stand_in, (tuple(args), dict(kwargs)))
        return function(*inner_args, **inner_kwargs)


def _input(scratch: Trace, symbol: KerasTensor) -> Tensor:
    return scratch.input(TensorType(symbol.dims, symbol.dtype), symbol.name)


def record(operation: Any, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Adds a call to the functional graph.

    Args:
        operation: the layer or `FunctionCall` that is called.
        function: computes the results, to find their shapes and dtypes.
        args: positional arguments, with symbolic tensors among them.
        kwargs: keyword arguments.

    Returns:
        The nested structure of symbolic results.
    """
    return node_of(operation, infer(function, args, kwargs), args, kwargs)


def node_of(operation: Any, results: Any, args: Any, kwargs: Any) -> Any:
    """Records a call whose results have the shapes and dtypes of the tensors in `results`."""
    node = CallNode(operation, tuple(args), dict(kwargs), user_place(skip=2))
    counter = iter(range(len(tree.flatten(results))))

    def symbolic(leaf: Any) -> Any:
        index = next(counter)
        if not isinstance(leaf, (Tensor, KerasTensor)):
            return leaf
        made = KerasTensor(leaf.dims, leaf.dtype, node=node, index=index)
        mask = leaf._keras_mask
        made._keras_mask = None if mask is None else KerasTensor(mask.dims, mask.dtype)
        return made

    node.outputs = tree.map_structure(symbolic, results)
    nodes = getattr(operation, "_inbound_nodes", None)
    if nodes is not None:
        nodes.append(node)
    return node.outputs
