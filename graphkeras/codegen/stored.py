"""Programs as bytes, without their graphs: what a process needs to run one that another made.

Records become lists of their fields, in a table, each once; `Form` trees, which share nearly all
their parts, stay as small as they are in memory::

    {"objects": [["Size", [[[["N", 1]], 1]]],             0
                 ["Buffer", "arena", 2],                  1
                 ["Launch", ["r", 7], ...]],              2
     "program": [[["r", 2]], [], ["r", 3], 9, []]}        launches, constants, arena, scratch, ..

The text is JSON, compressed. Reading makes records of the classes in `RECORDS` and nothing
else, so bytes from elsewhere can be wrong but cannot run code.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from graphkeras.codegen.program import KernelSource, Launch, Limit, Pair, Program
from graphkeras.codegen.spans import (
    HIGH,
    LOW,
    Access,
    Atom,
    Between,
    Extreme,
    Footprint,
    Form,
    Quotient,
)
from graphkeras.ir.dims import Size
from graphkeras.ir.graph import Graph, Value
from graphkeras.ir.parse import parse_attribute
from graphkeras.ir.text import attribute_text
from graphkeras.ir.types import TensorType
from graphkeras.passes.memory import Arena, ArenaBuffer, Buffer, Place
from graphkeras.passes.record import PassRecord

RECORDS: tuple[type[Any], ...] = (
    Access,
    Arena,
    ArenaBuffer,
    Between,
    Buffer,
    Extreme,
    Footprint,
    Form,
    KernelSource,
    Launch,
    Limit,
    Quotient,
    Size,
    TensorType,
)
"""The classes that a stored program is made of."""

_Made = TypeVar("_Made")
Explain = Callable[[], Sequence[PassRecord]]

_CLASSES = {record.__name__: record for record in RECORDS}
_FIELDS = {record: [f.name for f in fields(record) if f.init] for record in RECORDS}
_EDGES = (LOW, HIGH)
"""Records that exist once a process; the table begins with them."""


class StoredProgramError(ValueError):
    """Bytes that are no stored program."""


def dump_program(program: Program) -> bytes:
    """A program as bytes. Its signature and graph are left out: the reader has them."""
    writer = _Writer(_atoms(program.launches))
    return _packed(writer, _parts(program))


def load_program(data: bytes, signature: Graph, explain: Explain) -> Program:
    """Inverse of `dump_program`.

    Args:
        data: What it returned.
        signature: A graph with the program's name, inputs, outputs and aliases.
        explain: Gives what the passes did; called when that, or the final graph, is asked for.

    Raises:
        StoredProgramError: The bytes have another form.
    """
    return _unpacked(data, lambda parts: _program(parts, signature, explain))


def dump_pair(pair: Pair) -> bytes:
    """Two programs as bytes, with their signatures: those are not the traced graph's."""
    programs = [pair.main] if pair.prepare is None else [pair.main, pair.prepare]
    writer = _Writer(_atoms([launch for program in programs for launch in program.launches]))
    halves = tuple((*_interface(program.signature), _parts(program)) for program in programs)
    return _packed(writer, (halves, pair.constant, pair.sources))


def load_pair(data: bytes, explain: tuple[Explain, Explain]) -> Pair:
    """Inverse of `dump_pair`.

    Args:
        data: What it returned.
        explain: What the passes did to each program, as for `load_program`.

    Raises:
        StoredProgramError: The bytes have another form.
    """

    def made(parts: Any) -> Pair:
        halves, constant, sources = parts
        programs = [
            _program(rest, _signature(*interface), each)
            for (*interface, rest), each in zip(halves, explain, strict=False)
        ]
        return Pair(programs[0], programs[1] if programs[1:] else None, constant, sources)

    return _unpacked(data, made)


def _parts(program: Program) -> tuple[Any, ...]:
    constants = tuple(attribute_text(array) for array in program.constants)
    return program.launches, constants, program.arena, program.scratch_bytes, program.limits


def _program(parts: Any, signature: Graph, explain: Explain) -> Program:
    launches, constants, arena, scratch_bytes, limits = parts
    arrays = tuple(parse_attribute(text) for text in constants)
    return Program(signature, launches, arrays, arena, scratch_bytes, limits, explain)


def _interface(graph: Graph) -> tuple[Any, ...]:
    inputs = tuple((value.name, value.type) for value in graph.inputs)
    outputs = tuple(value.type for value in graph.outputs)
    return graph.name, inputs, outputs, tuple(graph.aliases.items()), graph.output_names


def _signature(name: str, inputs: Any, outputs: Any, aliases: Any, names: Any) -> Graph:
    """A graph with nothing between its inputs and outputs."""
    given = tuple(Value(kind, None, i, each) for i, (each, kind) in enumerate(inputs))
    made = tuple(Value(kind, None, i) for i, kind in enumerate(outputs))
    return Graph(name, given, (), made, dict(aliases), names)


def _packed(writer: _Writer, value: Any) -> bytes:
    text = writer.written(value)
    document = {"objects": writer.objects, "program": text}
    return zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 1)


def _unpacked(data: bytes, made: Callable[[Any], _Made]) -> _Made:
    try:
        document = json.loads(zlib.decompress(data))
        return made(_Reader(document["objects"]).read(document["program"]))
    except (zlib.error, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise StoredProgramError(f"no stored program: {error}") from error


def _atoms(launches: Sequence[Launch]) -> list[Atom]:
    """All atoms of the footprints by their order, which decides how bounds are found."""
    found: dict[int, Atom] = {}

    def visit(value: Any) -> None:
        if isinstance(value, Form):
            for atom, _ in value.terms:
                if atom.order not in found:
                    found[atom.order] = atom
                    for name in _FIELDS.get(type(atom), ()):
                        visit(getattr(atom, name))

    for launch in launches:
        for access in launch.footprint.accesses if launch.footprint else ():
            visit(access.offset)
    return [found[order] for order in sorted(found)]


class _Writer:
    """Makes the table; a record comes behind everything it is made of."""

    def __init__(self, first: Sequence[Atom]) -> None:
        self.objects: list[list[Any]] = []
        self._known: dict[int, int] = {id(edge): -1 - i for i, edge in enumerate(_EDGES)}
        for atom in first:
            self.written(atom)

    def written(self, value: Any) -> Any:
        """A value as JSON: plain values as they are, tuples as lists, records by reference."""
        if value is None or isinstance(value, str | bool | int):
            return value
        if isinstance(value, np.integer):
            return int(value)
        if isinstance(value, Place):
            return value.value
        if isinstance(value, tuple):
            return [self.written(item) for item in value]
        if id(value) not in self._known:
            kind = type(value)
            record = [kind.__name__, *(self.written(getattr(value, n)) for n in _FIELDS[kind])]
            self._known[id(value)] = len(self.objects)
            self.objects.append(record)
        return {"r": self._known[id(value)]}


class _Reader:
    """Makes the records of a table."""

    def __init__(self, objects: Sequence[Sequence[Any]]) -> None:
        self._objects: list[Any] = []
        for name, *values in objects:
            made = [self.read(value) for value in values]
            if name == "Buffer":
                made[0] = Place(made[0])
            self._objects.append(_CLASSES[name](*made))

    def read(self, value: Any) -> Any:
        """Inverse of `_Writer.written`."""
        if isinstance(value, list):
            return tuple([self.read(item) for item in value])
        if isinstance(value, Mapping):
            position = value["r"]
            return self._objects[position] if position >= 0 else _EDGES[-1 - position]
        return value
