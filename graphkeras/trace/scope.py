"""Where operations go: into the graph being traced, or straight to NumPy.

A scope owns a builder. `Trace` collects a graph; `EagerScope` computes at once. The innermost
open scope of the thread is the current one, and every operation goes to it.

Inside a scope a `Variable` is a value: reading it gives the value it has *in this scope*, and
assigning to it gives it another one. Only when the scope closes does an eager scope write the
new values back; a trace makes them outputs of the graph.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from graphkeras.changes import mark
from graphkeras.ir.builder import Builder, EagerBuilder
from graphkeras.ir.graph import Loc, Value
from graphkeras.ir.op import Array
from graphkeras.places import user_place
from graphkeras.trace.tensor import Tensor
from graphkeras.tree import map_structure

if TYPE_CHECKING:
    from graphkeras.variables import Variable


class _Local(threading.local):
    scope: Scope | None = None


_local = _Local()


def current_scope() -> Scope | None:
    """The innermost open scope of this thread, or None."""
    return _local.scope


@contextmanager
def outside() -> Iterator[None]:
    """Leaves all open scopes: operations inside are eager. For initial values."""
    saved, _local.scope = _local.scope, None
    try:
        yield
    finally:
        _local.scope = saved


class Scope:
    """Base of `Trace` and `EagerScope`; a context manager."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self._outer: Scope | None = None
        self._depth = 0
        self._phase = "forward"
        self._layers: list[tuple[str, FrameType | None, tuple[str, int] | None]] = []
        self._read: dict[int, tuple[Variable, Tensor]] = {}
        self._assigned: dict[int, tuple[Variable, Tensor]] = {}

    def __enter__(self) -> Self:
        self._outer, _local.scope = _local.scope, self
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _local.scope = self._outer

    def tensor(self, value: Value) -> Tensor:
        """The tensor of an IR value of this scope."""
        return Tensor(value, self)

    def constant(self, array: Array) -> Tensor:
        """A tensor that holds an array known now."""
        return self.tensor(self.builder.constant(array))

    def run(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Calls an operation's body; its nodes get the place of the user's call."""
        if self._depth == 0:
            self.builder.loc = self.locate()
        self._depth += 1
        try:
            return function(*args, **kwargs)
        finally:
            self._depth -= 1

    @property
    def path(self) -> str:
        """Path of the layer being called now; empty outside all layers."""
        return self._layers[-1][0] if self._layers else ""

    def locate(self) -> Loc:
        """The location of the operation being called now."""
        path, frame, made_at = self._layers[-1] if self._layers else ("", None, None)
        place = user_place(skip=2, stop=frame) or made_at or ("", 0)
        return Loc(place[0], place[1], path, self._phase)

    @contextmanager
    def layer(
        self,
        path: str,
        frame: FrameType | None = None,
        made_at: tuple[str, int] | None = None,
    ) -> Iterator[None]:
        """Nodes made inside belong to the layer at `path`.

        Args:
            path: path of the layer, such as `"model/dense"`.
            frame: the frame that calls the layer; user code is looked for inside it only.
            made_at: the place used where there is no user code inside, for instance where the
                user made a library layer.
        """
        self._layers.append((path, frame, made_at))
        depth, self._depth = self._depth, 0
        try:
            yield
        finally:
            self._depth = depth
            self._layers.pop()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Nodes made inside belong to the phase: loss, metrics, backward or update."""
        saved, self._phase = self._phase, name
        try:
            yield
        finally:
            self._phase = saved

    def read(self, variable: Variable) -> Tensor:
        """The value a variable has here now."""
        entry = self._assigned.get(id(variable)) or self._read.get(id(variable))
        if entry is None:
            entry = (variable, self._load(variable))
            self._read[id(variable)] = entry
        return entry[1]

    def assign(self, variable: Variable, tensor: Tensor) -> None:
        """Gives a variable its next value; the tensor has the variable's shape and dtype."""
        self._assigned[id(variable)] = (variable, tensor)

    def _load(self, variable: Variable) -> Tensor:
        raise NotImplementedError


class EagerScope(Scope):
    """Computes every operation at once with the NumPy references of the ops."""

    def __init__(self) -> None:
        self._eager = EagerBuilder()
        super().__init__(self._eager)

    def known(self, array: Any) -> Tensor:
        """A tensor that holds `array`."""
        return self.tensor(self._eager.known(array))

    def constant(self, array: Array) -> Tensor:
        """A tensor that holds an array known now."""
        return self.known(array)

    def array(self, tensor: Tensor) -> Array:
        """The numbers of a tensor of this scope."""
        return self._eager.array(tensor.value)

    def locate(self) -> Loc:
        """No location: nothing is kept of an eager operation."""
        return self.builder.loc

    def leave(self, result: Any) -> Any:
        """The nested `result` with arrays in the place of tensors."""

        def concrete(leaf: Any) -> Any:
            return self.array(leaf) if isinstance(leaf, Tensor) else leaf

        return map_structure(concrete, result)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, traceback)
        if error is None:
            for variable, tensor in self._assigned.values():
                np.copyto(variable.buffer, self.array(tensor))
            mark([variable.change for variable, _ in self._assigned.values()])

    def _load(self, variable: Variable) -> Tensor:
        return self.known(variable.numpy())


def run_eagerly(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls `function` inside a scope, whatever is current.

    Inside an open scope this is a plain call. Outside, everything the function does is computed
    at once in one eager scope, and tensors in its result come back as NumPy arrays.
    """
    if _local.scope is not None:
        return function(*args, **kwargs)
    with EagerScope() as scope:
        return scope.leave(function(*args, **kwargs))
