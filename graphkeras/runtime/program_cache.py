"""Compiled programs, kept on disk: a process that traces a known graph runs no pass.

    traced graph -> <key>.program -> launches, memory plan -> kernels (kernel_cache.py)

The key is a digest of the graph (not of the user's line numbers), of the sources of all that
compiles it, of versions, of the CPU, and of the setting that passes choose by.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from graphkeras.codegen.program import Pair, Program
from graphkeras.codegen.stored import (
    Explain,
    StoredProgramError,
    dump_pair,
    dump_program,
    load_pair,
    load_program,
)
from graphkeras.config import setting
from graphkeras.ir.graph import Graph
from graphkeras.ir.text import print_graph
from graphkeras.native.target import cpu
from graphkeras.runtime import disk_cache

_log = logging.getLogger("graphkeras.cache")

_Made = TypeVar("_Made")

_COMPILER = ("ir", "passes", "codegen", "compiler.py")
"""What decides which program a graph becomes, beside the graph and the CPU."""


def program_key(graph: Graph) -> str:
    """Name of the program of a graph in the cache."""
    target = cpu()
    sources = disk_cache.sources_digest(*_COMPILER)
    made_for = (target.name, target.features, setting("winograd"))
    parts = (sources, *made_for, print_graph(graph, lines=False))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def pair_key(graph: Graph, constant: Sequence[int]) -> str:
    """As `program_key`, for the programs of a graph of which some inputs rarely change."""
    return hashlib.sha256(f"{program_key(graph)} {list(constant)}".encode()).hexdigest()


def find(key: str, graph: Graph, explain: Explain) -> Program | None:
    """The program of a graph, or None where the disk has no intact one.

    Args:
        key: `program_key(graph)`.
        graph: The graph, as it was traced.
        explain: Gives what the passes do to it; called when that is asked for.
    """
    return _find(key, lambda data: load_program(data, graph, explain))


def find_pair(key: str, explain: tuple[Explain, Explain]) -> Pair | None:
    """Two programs kept by `keep_pair`, or None where the disk has no intact ones.

    Args:
        key: `pair_key(graph, constant)`.
        explain: What the passes do to each, as for `find`.
    """
    return _find(key, lambda data: load_pair(data, explain))


def _find(key: str, load: Callable[[bytes], _Made]) -> _Made | None:
    data = disk_cache.read(_entry(key))
    if data is None:
        return None
    try:
        return load(data)
    except StoredProgramError as error:
        _log.debug("cache entry %s is unreadable; it is made again: %s", _entry(key), error)
        return None


def keep_pair(key: str, made: Pair | Program) -> None:
    """Keeps the programs of a graph, or the only one, for later processes."""
    pair = Pair(made, None) if isinstance(made, Program) else made
    disk_cache.write(_entry(key), dump_pair(pair))


def keep(key: str, program: Program) -> None:
    """Keeps the program of a graph for later processes."""
    disk_cache.write(_entry(key), dump_program(program))


def _entry(key: str) -> str:
    return f"{key}.program"
