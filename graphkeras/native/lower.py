"""From the statements of kernel text to an LLVM function.

A local that is assigned once is the LLVM value itself, known in the block that assigns it and in
those inside; a local that is assigned again is a stack slot, which LLVM turns into registers.
Loops are written as LLVM likes them, test at the bottom::

        start < stop?  ──no──▶ done
            │yes            ▲
            ▼               │no
       i = phi(start, next) │
       body                 │
       next = i + step;  next < stop?
            ▲               │yes
            └───────────────┘
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from llvmlite import ir

from graphkeras.native.aliasing import mark_memory
from graphkeras.native.expressions import Expressions
from graphkeras.native.intrinsic import stack_slot
from graphkeras.native.language import Module
from graphkeras.native.types import (
    INT64,
    VOID,
    Type,
    Typed,
    TypeMismatchError,
    convert,
    element_type,
    type_named,
)


def lower(module: Module, entry: str, symbol: str, arguments: Sequence[str], result: str) -> str:
    """LLVM IR of function `entry` of a module, as text.

    Args:
        module: The kernel module.
        entry: Name of its function.
        symbol: Name of the LLVM function.
        arguments: Types of the arguments.
        result: Type of the result; `"void"`: none.

    Raises:
        KernelCompileError: The function is not of the language.
    """
    definition = module.function(entry)
    types = [type_named(name) for name in arguments]
    returned = type_named(result)
    # A context of its own: llvmlite keeps the names of the shared one.
    out = ir.Module(symbol, context=ir.Context())
    kind = ir.FunctionType(returned.llvm, [t.llvm for t in types])
    function = ir.Function(out, kind, symbol)
    function.attributes.add("nounwind")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    given = [Typed(t, value) for t, value in zip(types, function.args, strict=True)]
    body = FunctionBody(module, builder, definition, given, returned)
    body.run()
    _return(builder, body, returned)
    mark_memory(function, body.pointers)
    return str(out)


def _return(builder: Any, body: FunctionBody, returned: Type) -> None:
    if returned is VOID:
        builder.ret_void()
    elif body.result is None:
        raise body.module.error(body.function, f"{body.function.name} returns no value")
    else:
        builder.ret(builder.load(body.result.value))


@dataclass
class _Loop:
    """Where `continue` and `break` go."""

    following: Any
    done: Any
    continued: bool = False


class FunctionBody:
    """Emits the body of one function where the builder stands, ending behind it.

    Args:
        module: The kernel module.
        builder: Where to emit.
        function: The function.
        arguments: Values of its parameters.
        returned: Type to which results are converted; None: the type of the first one.
        inside: The functions being inlined around this one.
    """

    def __init__(
        self,
        module: Module,
        builder: Any,
        function: ast.FunctionDef,
        arguments: Sequence[Typed],
        returned: Type | None,
        inside: tuple[str, ...] = (),
    ) -> None:
        self.module = module
        self.builder = builder
        self.function = function
        self.inside = (*inside, function.name)
        self.returned = returned
        self.result: Typed | None = None
        self.end = builder.append_basic_block(f"{function.name}.end")
        self.pointers: dict[str, Any] = {}
        """Pointers by name: each is memory of its own."""
        self._values: dict[str, Typed] = {}
        self._slots: dict[str, Typed] = {}
        self._loops: list[_Loop] = []
        self._assigned = _assignments(function)
        self._expressions = Expressions(module, builder, self)
        parameters = [a.arg for a in function.args.args]
        if len(parameters) != len(arguments):
            count = f"{len(parameters)} arguments, not {len(arguments)}"
            raise module.error(function, f"{function.name} takes {count}")
        for name, argument in zip(parameters, arguments, strict=True):
            self._assign(name, argument, function)

    def run(self) -> None:
        """Emits the whole body."""
        self._block(self.function.body)
        if not self.builder.block.is_terminated:
            self.builder.branch(self.end)
        self.builder.position_at_end(self.end)

    # ---- names

    def read(self, name: str) -> Typed | None:
        """See `Names.read`."""
        slot = self._slots.get(name)
        if slot is not None:
            return Typed(slot.type, self.builder.load(slot.value))
        return self._values.get(name)

    def inline(self, function: ast.FunctionDef, arguments: list[Typed], node: ast.Call) -> Typed:
        """See `Names.inline`."""
        if function.name in self.inside:
            raise self.module.error(node, f"{function.name} calls itself")
        body = FunctionBody(self.module, self.builder, function, arguments, None, self.inside)
        body.run()
        if body.result is None:
            return Typed(VOID, None)
        return Typed(body.result.type, self.builder.load(body.result.value))

    def _assign(self, name: str, value: Typed, node: ast.AST) -> None:
        if value.type is VOID:
            raise self.module.error(node, f"{name!r} is given no value")
        if value.type.kind == "pointer" and len(self.inside) == 1:
            self.pointers[name] = value.value
        if self._assigned[name] < 2:
            self._values[name] = value
            return
        if name not in self._slots:
            place = stack_slot(self.builder, value.type.llvm)
            self._slots[name] = Typed(value.type, place)
        slot = self._slots[name]
        if slot.type != value.type:
            kinds = f"a {slot.type.name} before and a {value.type.name} here"
            raise self.module.error(node, f"the name {name!r} is {kinds}")
        self.builder.store(value.value, slot.value)

    @contextmanager
    def _scope(self) -> Iterator[None]:
        """A block: a name assigned once, inside it, is not known behind it."""
        saved = dict(self._values)
        yield
        self._values = saved

    # ---- statements

    def _block(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            if self.builder.block.is_terminated:
                return
            kind = type(statement)
            if kind not in self._EMITTERS:
                raise self.module.error(statement, f"kernel text has no `{kind.__name__}`")
            try:
                self._EMITTERS[kind](self, statement)
            except TypeMismatchError as error:
                raise self.module.error(statement, f"types do not fit: {error}") from error

    def _expression(self, statement: ast.Expr) -> None:
        if not isinstance(statement.value, ast.Constant):  # a docstring
            self._expressions.value(statement.value)

    def _assignment(self, statement: ast.Assign | ast.AnnAssign) -> None:
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        if len(targets) != 1 or statement.value is None:
            raise self.module.error(statement, "an assignment has one target and a value")
        target = targets[0]
        if isinstance(target, ast.Name):
            self._assign(target.id, self._expressions.value(statement.value), statement)
        elif isinstance(target, ast.Subscript):
            value = self._expressions.value(statement.value)
            self._store(self._expressions.place(target), value)
        else:
            raise self.module.error(statement, "the target is a name or p[i]")

    def _augmented(self, statement: ast.AugAssign) -> None:
        target, operator = statement.target, statement.op
        if isinstance(target, ast.Name):
            old = self._expressions.value(ast.copy_location(ast.Name(target.id), target))
            new = self._expressions.value(statement.value)
            result = self._expressions.binary(statement, operator, old, new)
            self._assign(target.id, result, statement)
        elif isinstance(target, ast.Subscript):
            place = self._expressions.place(target)
            old = Typed(element_type(place.type), self.builder.load(place.value))
            new = self._expressions.value(statement.value)
            result = self._expressions.binary(statement, operator, old, new)
            self._store(place, result)
        else:
            raise self.module.error(statement, "the target is a name or p[i]")

    def _store(self, place: Typed, value: Typed) -> None:
        stored = convert(self.builder, value, element_type(place.type))
        self.builder.store(stored, place.value)

    def _if(self, statement: ast.If) -> None:
        builder = self.builder
        test = self._expressions.condition(statement.test)
        then = builder.append_basic_block("then")
        done = builder.append_basic_block("endif")
        other = builder.append_basic_block("else") if statement.orelse else done
        builder.cbranch(test, then, other)
        for block, body in ((then, statement.body), (other, statement.orelse)):
            if block is done:
                continue
            builder.position_at_end(block)
            with self._scope():
                self._block(body)
            self._go(done)
        builder.position_at_end(done)

    def _go(self, block: Any) -> None:
        if not self.builder.block.is_terminated:
            self.builder.branch(block)

    def _while(self, statement: ast.While) -> None:
        if statement.orelse:
            raise self.module.error(statement, "a loop has no else")
        builder = self.builder
        head, body, done = (
            builder.append_basic_block(f"while.{n}") for n in ("head", "body", "end")
        )
        builder.branch(head)
        builder.position_at_end(head)
        builder.cbranch(self._expressions.condition(statement.test), body, done)
        builder.position_at_end(body)
        self._loops.append(_Loop(head, done))
        with self._scope():
            self._block(statement.body)
        self._loops.pop()
        self._go(head)
        builder.position_at_end(done)

    def _for(self, statement: ast.For) -> None:
        start, stop, step = self._range(statement)
        assert isinstance(statement.target, ast.Name)
        name, builder = statement.target.id, self.builder
        if self._assigned[name]:
            raise self.module.error(statement, f"the loop variable {name!r} is assigned elsewhere")
        body = builder.append_basic_block(f"for.{name}")
        following = builder.append_basic_block(f"next.{name}")
        done = builder.append_basic_block(f"end.{name}")
        before = builder.block
        builder.cbranch(builder.icmp_signed("<", start, stop), body, done)
        builder.position_at_end(body)
        index = builder.phi(INT64.llvm)
        index.add_incoming(start, before)
        self._loops.append(_Loop(following, done))
        with self._scope():
            self._values[name] = Typed(INT64, index)
            self._block(statement.body)
        self._loops.pop()
        self._go(following)
        builder.position_at_end(following)
        # No wrap-around: it would be an index of 2**63.
        after = builder.add(index, INT64.constant(step), flags=("nsw",))
        index.add_incoming(after, following)
        builder.cbranch(builder.icmp_signed("<", after, stop), body, done)
        builder.position_at_end(done)

    def _range(self, statement: ast.For) -> tuple[Any, Any, int]:
        call = statement.iter
        is_range = isinstance(call, ast.Call) and ast.unparse(call.func) == "range"
        if not isinstance(statement.target, ast.Name) or not is_range or statement.orelse:
            raise self.module.error(statement, "a loop is `for name in range(..)` or `while`")
        assert isinstance(call, ast.Call)
        values = [self._expressions.value(bound) for bound in call.args]
        bounds = [convert(self.builder, value, INT64) for value in values]
        if len(bounds) == 1:
            bounds.insert(0, INT64.constant(0))
        step = bounds[2] if len(bounds) == 3 else INT64.constant(1)
        if not 2 <= len(bounds) <= 3 or not isinstance(step, ir.Constant) or step.constant < 1:
            raise self.module.error(statement, "the step of a range is a literal above zero")
        return bounds[0], bounds[1], step.constant

    def _jump(self, statement: ast.Break | ast.Continue) -> None:
        loop = self._loops[-1]  # Python's parser knows that there is one
        self.builder.branch(loop.done if isinstance(statement, ast.Break) else loop.following)

    def _give(self, statement: ast.Return) -> None:
        if statement.value is not None:
            value = self._expressions.value(statement.value)
            if self.result is None:
                kind = self.returned or value.type
                self.result = Typed(kind, stack_slot(self.builder, kind.llvm))
            converted = convert(self.builder, value, self.result.type)
            self.builder.store(converted, self.result.value)
        self.builder.branch(self.end)

    def _pass(self, statement: ast.stmt) -> None:
        pass

    _EMITTERS: ClassVar[dict[type, Any]] = {
        ast.Expr: _expression,
        ast.Assign: _assignment,
        ast.AnnAssign: _assignment,
        ast.AugAssign: _augmented,
        ast.If: _if,
        ast.While: _while,
        ast.For: _for,
        ast.Break: _jump,
        ast.Continue: _jump,
        ast.Return: _give,
        ast.Pass: _pass,
    }


def _assignments(function: ast.FunctionDef) -> Counter[str]:
    """How often each local is assigned, loop variables apart; an augmented one counts twice."""
    counts = Counter(a.arg for a in function.args.args)
    waiting: list[ast.stmt] = [*function.body]
    while waiting:
        statement = waiting.pop()
        if isinstance(statement, ast.Assign):
            counts.update(t.id for t in statement.targets if isinstance(t, ast.Name))
        elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
            if isinstance(statement.target, ast.Name):
                counts[statement.target.id] += 1 + isinstance(statement, ast.AugAssign)
        elif isinstance(statement, ast.For | ast.While | ast.If):
            waiting.extend([*statement.body, *statement.orelse])
    return counts
