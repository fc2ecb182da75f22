"""Executables of traced graphs: from the cache where it has them, else compiled.

The compiler itself (`compiler.py`) is imported where something is compiled or explained only: its
modules take as long to load as a cached program does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from graphkeras.config import setting
from graphkeras.ir.graph import Graph
from graphkeras.passes.record import PassRecord
from graphkeras.runtime import program_cache
from graphkeras.runtime.executable import Executable


def load_or_compile(graph: Graph) -> Executable:
    """As `compile_graph`, but a graph that some process has compiled before runs no pass.

    Its `records` and final graph are made when they are asked for. The settings that look at
    passes, `check_numbers` and `dump`, compile anew.
    """
    if setting("check_numbers") or setting("dump"):
        return _compile(graph)
    key = program_cache.program_key(graph)

    @cache
    def explain() -> Sequence[PassRecord]:
        from graphkeras.compiler import optimize

        return tuple(optimize(graph).records)

    program = program_cache.find(key, graph, explain)
    if program is not None:
        return Executable(program)
    executable = _compile(graph)
    program_cache.keep(key, executable.program)
    return executable


def _compile(graph: Graph) -> Executable:
    from graphkeras.compiler import compile_graph

    return compile_graph(graph)
