"""Reads graphs back from the text of `graphkeras.ir.text`.

The reader is a tokenizer and one method for each rule of the grammar; nothing is evaluated as
Python. It checks the form only: that types and attributes fit the op is `verify`'s business,
so that a faulty graph can be read and looked at.

    graph   = "graph" STRING "{" input* node* return "}"
    input   = VALUE "=" "input" type STRING?
    node    = VALUE ":" type ("," VALUE ":" type)* "=" NAME "(" VALUE,* ")"
              ("{" (NAME "=" attribute),* "}")? ("@" STRING)? loc? ("by" STRING)? graph?
    loc     = "loc" "(" (STRING ":" INT | NAME "=" STRING),* ")"
    return  = "return" (VALUE STRING? ("->" VALUE)?),*

`#` starts a comment that ends with the line.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

import numpy as np

from graphkeras.frozen import frozen
from graphkeras.ir.dims import is_static, parse_dim
from graphkeras.ir.graph import UNKNOWN, Graph, Loc, Node, Value
from graphkeras.ir.op import Array
from graphkeras.ir.types import TensorType, parse_type


class ParseError(ValueError):
    """Text that is no graph; the message names line and column and shows the line."""


_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
      | (?P<string>"(?:[^"\\\n]|\\.)*")
      | (?P<value>%\d+)
      | (?P<arrow>->)
      | (?P<number>-?(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|inf\b|nan\b))
      | (?P<name>[^\W\d]\w*)
      | (?P<mark>[{}()\[\],=:@*^+])
      | (?P<wrong>.)""",
    re.VERBOSE,
)

_WORDS = {"None": None, "True": True, "False": False}


@frozen
class _Token:
    kind: str
    text: str
    start: int


def parse_graph(text: str) -> Graph:
    """The graph that `text` describes; inverse of `print_graph`. Origins are empty.

    Raises:
        ParseError: The text has the wrong form, uses a value before it is defined, or defines
            one twice.
    """
    parser = _Parser(text)
    graph = parser.graph()
    if parser.token.kind != "end":
        raise parser.error("expected the end of the text")
    return graph


def parse_call(text: str) -> tuple[str, dict[str, Any]]:
    """A name with options in braces: `"fold{size=9}"` -> `("fold", {"size": 9})`.

    Raises:
        ParseError: The text has another form.
    """
    parser = _Parser(text)
    name = parser.read("name", "a name").text
    options = parser.attributes() if parser.accept("{") else {}
    if parser.token.kind != "end":
        raise parser.error("expected the end of the text")
    return name, options


def parse_attribute(text: str) -> Any:
    """Inverse of `attribute_text`.

    Raises:
        ParseError: The text has another form.
    """
    parser = _Parser(text)
    value = parser.attribute()
    if parser.token.kind != "end":
        raise parser.error("expected the end of the text")
    return value


def literal_element(text: str) -> float | int | bool:
    """An element of an array literal. Raises `ValueError` on anything but a number or a bool."""
    if text in ("True", "False"):
        return text == "True"
    try:
        return int(text)
    except ValueError:
        return float(text)


class _Parser:
    """A position in a list of tokens; every method reads one rule and moves on."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = [
            _Token(match.lastgroup or "wrong", match[0], match.start())
            for match in _TOKEN.finditer(text)
            if match.lastgroup != "space"
        ]
        self.tokens.append(_Token("end", "the end of the text", len(text)))
        self.position = 0

    @property
    def token(self) -> _Token:
        """The token to be read next."""
        return self.tokens[self.position]

    def error(self, message: str, token: _Token | None = None) -> ParseError:
        """The error for `token` (by default the next), to be raised by the caller."""
        at = token or self.token
        before = self.text[: at.start]
        line = before.count("\n") + 1
        column = at.start - (before.rfind("\n") + 1)
        shown = (self.text.split("\n")[line - 1]).expandtabs(1)
        return ParseError(
            f"line {line}, column {column + 1}: {message}, received {at.text}\n"
            f"  {shown}\n  {' ' * column}^"
        )

    def read(self, kind: str, what: str) -> _Token:
        """Reads a token of a kind."""
        token = self.token
        if token.kind != kind:
            raise self.error(f"expected {what}")
        self.position += 1
        return token

    def accept(self, text: str) -> bool:
        """Reads the mark or word `text` if it comes next."""
        found = self.token.text == text and self.token.kind != "string"
        self.position += found
        return found

    def expect(self, text: str) -> None:
        """Reads the mark or word `text`."""
        if not self.accept(text):
            raise self.error(f"expected {text!r}")

    def string(self, what: str) -> str:
        """Reads a string literal."""
        token = self.read("string", what)
        try:
            return str(json.loads(token.text))
        except json.JSONDecodeError:
            raise self.error("expected a string without bad escapes", token) from None

    def graph(self) -> Graph:
        """Reads a graph."""
        self.expect("graph")
        name = self.string("the graph's name in quotes")
        self.expect("{")
        values: dict[str, Value] = {}
        inputs: list[Value] = []
        nodes: list[Node] = []
        while not self.accept("return"):
            first = self.read("value", "a value such as %0, or 'return'")
            if self.accept("="):
                self.expect("input")
                value = Value(self.tensor_type(), None, len(inputs), self.optional_string())
                inputs.append(value)
                self.define(values, first, value)
            else:
                nodes.append(self.node(first, values))
        graph = self.returned(name, inputs, nodes, values)
        self.expect("}")
        return graph

    def define(self, values: dict[str, Value], token: _Token, value: Value) -> None:
        """Gives a value its text."""
        if token.text in values:
            raise self.error("expected a value that is not defined yet", token)
        values[token.text] = value

    def use(self, values: dict[str, Value]) -> Value:
        """Reads the text of a defined value."""
        token = self.read("value", "a value such as %0")
        if token.text not in values:
            raise self.error("expected a value defined on an earlier line", token)
        return values[token.text]

    def optional_string(self) -> str:
        """Reads a string literal if there is one."""
        return self.string("a name") if self.token.kind == "string" else ""

    def tensor_type(self) -> TensorType:
        """Reads a tensor type."""
        first = self.read("name", "a type such as f32[N,10]")
        self.expect("[")
        while not self.accept("]"):
            if self.token.kind not in ("number", "name", "mark"):
                raise self.error("expected ']'")
            self.position += 1
        last = self.tokens[self.position - 1]
        try:
            return parse_type(self.text[first.start : last.start + 1])
        except ValueError as error:
            raise self.error(str(error), first) from None

    def node(self, first: _Token, values: dict[str, Value]) -> Node:
        """Reads a node after its first value."""
        self.expect(":")
        results = [(first, self.tensor_type())]
        while self.accept(","):
            token = self.read("value", "a value such as %0")
            self.expect(":")
            results.append((token, self.tensor_type()))
        self.expect("=")
        op = self.read("name", "the name of an op").text
        operands = self.operands(values)
        attrs = self.attributes() if self.accept("{") else {}
        name = self.string("the node's name") if self.accept("@") else ""
        loc = self.loc() if self.accept("loc") else UNKNOWN
        made_by = self.string("the name of a pass") if self.accept("by") else "trace"
        body = self.graph() if self.token.text == "graph" else None
        types = tuple(kind for _, kind in results)
        node = Node(op, operands, attrs, types, name, body, loc, made_by=made_by)
        for (token, _), value in zip(results, node.results, strict=True):
            self.define(values, token, value)
        return node

    def operands(self, values: dict[str, Value]) -> tuple[Value, ...]:
        """Reads operands in parentheses."""
        self.expect("(")
        operands: list[Value] = []
        while not self.accept(")"):
            if operands:
                self.expect(",")
            operands.append(self.use(values))
        return tuple(operands)

    def loc(self) -> Loc:
        """Reads a location after the word `loc`."""
        self.expect("(")
        found: dict[str, Any] = {}
        while not self.accept(")"):
            if found:
                self.expect(",")
            if self.token.kind == "string":
                found["file"] = self.string("a file name")
                self.expect(":")
                found["line"] = self.integer()
            else:
                key = self.read("name", "a file name, layer= or phase=")
                if key.text not in ("layer", "phase"):
                    raise self.error("expected layer= or phase=", key)
                self.expect("=")
                found[key.text] = self.string(f"the {key.text}")
        return Loc(**found)

    def integer(self) -> int:
        """Reads a whole number."""
        token = self.read("number", "a whole number")
        if not token.text.lstrip("-").isdigit():
            raise self.error("expected a whole number", token)
        return int(token.text)

    def attributes(self) -> dict[str, Any]:
        """Reads attributes after `{`."""
        attrs: dict[str, Any] = {}
        while not self.accept("}"):
            if attrs:
                self.expect(",")
            key = self.read("name", "the name of an attribute")
            if key.text in attrs:
                raise self.error("expected an attribute that is not given yet", key)
            self.expect("=")
            attrs[key.text] = self.attribute()
        return attrs

    def attribute(self) -> Any:
        """Reads the value of an attribute."""
        token = self.token
        if token.kind == "string":
            return self.string("a string")
        if token.text in _WORDS:
            self.position += 1
            return _WORDS[token.text]
        if self.accept("("):
            return self.items()
        if token.kind == "name" and self.tokens[self.position + 1].text == "[":
            return self.array()
        if token.kind in ("number", "name"):
            return self.number()
        raise self.error("expected the value of an attribute")

    def items(self) -> tuple[Any, ...]:
        """Reads a tuple after `(`."""
        items: list[Any] = []
        while not self.accept(")"):
            items.append(self.attribute())
            if not self.accept(","):
                self.expect(")")
                break
        return tuple(items)

    def number(self) -> Any:
        """Reads an integer, a float or a symbolic size."""
        first = self.token
        while self.token.kind in ("number", "name") or self.token.text in ("*", "^", "+"):
            self.position += 1
        last = self.tokens[self.position - 1]
        text = self.text[first.start : last.start + len(last.text)]
        try:
            literal = first is last and first.kind == "number"
            return literal_element(text) if literal else parse_dim(text)
        except ValueError as error:
            raise self.error(str(error), first) from None

    def array(self) -> Array:
        """Reads an array: its type, then its elements or their bytes in base64."""
        first = self.token
        kind = self.tensor_type()
        dtype = np.dtype(kind.dtype)
        if not is_static(kind.shape):
            raise self.error("expected an array with a static shape", first)
        try:
            if self.token.kind == "string":
                data = base64.b64decode(self.string("base64"), validate=True)
                flat = np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype)
            else:
                flat = np.array(self.elements(), dtype=dtype)
            array = flat.reshape(kind.concrete({}))
        except (binascii.Error, ValueError, OverflowError) as error:
            if isinstance(error, ParseError):
                raise
            raise self.error(f"expected the elements of {kind} ({error})", first) from None
        array.flags.writeable = False
        return array

    def elements(self) -> list[float | int | bool]:
        """Reads the elements of an array in parentheses."""
        self.expect("(")
        items: list[float | int | bool] = []
        while not self.accept(")"):
            if items:
                self.expect(",")
            token = self.token
            if token.kind != "number" and token.text not in ("True", "False"):
                raise self.error("expected a number, True or False")
            self.position += 1
            items.append(literal_element(token.text))
        return items

    def returned(
        self, name: str, inputs: list[Value], nodes: list[Node], values: dict[str, Value]
    ) -> Graph:
        """Reads the outputs after `return`."""
        outputs: list[Value] = []
        names: list[str] = []
        aliases: dict[int, int] = {}
        while self.token.text != "}":
            if outputs:
                self.expect(",")
            outputs.append(self.use(values))
            if self.token.kind == "string":
                if len(names) != len(outputs) - 1:
                    raise self.error("expected names for all outputs or for none")
                names.append(self.string("the output's name"))
            if self.accept("->"):
                target = self.token
                value = self.use(values)
                if value.producer is not None:
                    raise self.error("expected an input of the graph", target)
                aliases[len(outputs) - 1] = value.index
        if names and len(names) != len(outputs):
            raise self.error("expected names for all outputs or for none")
        return Graph(name, tuple(inputs), tuple(nodes), tuple(outputs), aliases, tuple(names))
