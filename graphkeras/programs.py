"""Executables of traced graphs: from the cache where it has them, else compiled.

The compiler itself (`compiler.py`) is imported where something is compiled or explained only: its
modules take as long to load as a cached program does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from graphkeras.config import setting
from graphkeras.ir.graph import Graph
from graphkeras.passes.record import PassRecord
from graphkeras.runtime import program_cache
from graphkeras.runtime.executable import Executable


def load_or_compile(
    graph: Graph, autotune: bool | None = None, sizes: Mapping[str, int] | None = None
) -> Executable:
    """As `compile_graph`, but a graph that some process has compiled before runs no pass.

    Its `records` and final graph are made when they are asked for. The settings that look at
    passes, `check_numbers` and `dump`, compile anew; so does `autotune`, since what it chooses
    depends on sizes and threads (the kernels it chose come from the cache).
    """
    tuned = setting("autotune") if autotune is None else autotune
    if tuned or setting("check_numbers") or setting("dump"):
        return _compile(graph, tuned, sizes)
    key = program_cache.program_key(graph)

    @cache
    def explain() -> Sequence[PassRecord]:
        from graphkeras.compiler import optimize

        return tuple(optimize(graph).records)

    program = program_cache.find(key, graph, explain)
    if program is not None:
        return Executable(program)
    executable = _compile(graph, tuned, sizes)
    program_cache.keep(key, executable.program)
    return executable


def _compile(graph: Graph, autotune: bool, sizes: Mapping[str, int] | None) -> Executable:
    from graphkeras.compiler import compile_graph

    return compile_graph(graph, autotune=autotune, sizes=sizes)
