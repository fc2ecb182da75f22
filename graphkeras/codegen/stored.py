"""Programs as bytes, without their graphs: what a process needs to run one that another made.

Records become lists of their fields, in a table, each once; `Form` trees, which share nearly all
their parts, stay as small as they are in memory::

    {"objects": [["Size", [[[["N", 1]], 1]]],             0
                 ["Buffer", "arena", 2],                  1
                 ["Launch", ["r", 7], ...]],              2
     "program": [[["r", 2]], [], ["r", 3], 4096]}         launches, constants, arena, scratch

The text is JSON, compressed. Reading makes records of the classes in `RECORDS` and nothing
else, so bytes from elsewhere can be wrong but cannot run code.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from graphkeras.codegen.program import KernelSource, Launch, Program
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
from graphkeras.ir.graph import Graph
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
    Quotient,
    Size,
    TensorType,
)
"""The classes that a stored program is made of."""

_CLASSES = {record.__name__: record for record in RECORDS}
_FIELDS = {record: [f.name for f in fields(record) if f.init] for record in RECORDS}
_EDGES = (LOW, HIGH)
"""Records that exist once a process; the table begins with them."""


class StoredProgramError(ValueError):
    """Bytes that are no stored program."""


def dump_program(program: Program) -> bytes:
    """A program as bytes. Its signature and graph are left out: the reader has them."""
    writer = _Writer(_atoms(program.launches))
    text = writer.written(
        (
            program.launches,
            tuple(attribute_text(array) for array in program.constants),
            program.arena,
            program.scratch_bytes,
        )
    )
    document = {"objects": writer.objects, "program": text}
    return zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 1)


def load_program(
    data: bytes, signature: Graph, explain: Callable[[], Sequence[PassRecord]]
) -> Program:
    """Inverse of `dump_program`.

    Args:
        data: What it returned.
        signature: A graph with the program's name, inputs, outputs and aliases.
        explain: Gives what the passes did; called when that, or the final graph, is asked for.

    Raises:
        StoredProgramError: The bytes have another form.
    """
    try:
        document = json.loads(zlib.decompress(data))
        reader = _Reader(document["objects"])
        launches, constants, arena, scratch_bytes = reader.read(document["program"])
        arrays = tuple(parse_attribute(text) for text in constants)
    except (zlib.error, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise StoredProgramError(f"no stored program: {error}") from error
    return Program(signature, launches, arrays, arena, scratch_bytes, explain)


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
