"""Executables of traced graphs: from the cache where it has them, else compiled.

The compiler itself (`compiler.py`) is imported where something is compiled or explained only: its
modules take as long to load as a cached program does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from graphkeras.config import setting
from graphkeras.ir.graph import Graph
from graphkeras.passes.record import PassRecord
from graphkeras.runtime import program_cache
from graphkeras.runtime.executable import Executable
from graphkeras.runtime.prepared import PreparedExecutable

if TYPE_CHECKING:
    from graphkeras.compiler import Halves


def load_or_compile(
    graph: Graph, autotune: bool | None = None, sizes: Mapping[str, int] | None = None
) -> Executable:
    """As `compile_graph`, but a graph that some process has compiled before runs no pass.

    Its `records` and final graph are made when they are asked for. The settings that look at
    passes, `check_numbers` and `dump`, compile anew; so does `autotune`, since what it chooses
    depends on sizes and threads (the kernels it chose come from the cache).
    """
    tuned = _tuned(autotune)
    if tuned or _looks_at_passes():
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


def load_or_compile_halves(
    graph: Graph,
    constant: Sequence[int],
    autotune: bool | None = None,
    sizes: Mapping[str, int] | None = None,
) -> PreparedExecutable | Executable:
    """As `compile_halves`, with the cache as in `load_or_compile`."""
    tuned = _tuned(autotune)
    anew = tuned or _looks_at_passes()
    key = "" if anew else program_cache.pair_key(graph, constant)

    @cache
    def halves() -> Halves:
        from graphkeras.compiler import optimize_halves

        return optimize_halves(graph, constant)

    explain = (lambda: halves().main, lambda: halves().prepare)
    pair = None if anew else program_cache.find_pair(key, explain)
    if pair is not None:
        main = Executable(pair.main)
        if pair.prepare is None:
            return main
        return PreparedExecutable(Executable(pair.prepare), main, pair.constant, pair.sources)
    from graphkeras.compiler import compile_halves

    made = compile_halves(graph, constant, tuned, sizes)
    if not anew:
        program_cache.keep_pair(key, made.program if isinstance(made, Executable) else made.pair)
    return made


def _tuned(autotune: bool | None) -> bool:
    return bool(setting("autotune") if autotune is None else autotune)


def _looks_at_passes() -> bool:
    return bool(setting("check_numbers") or setting("dump"))


def _compile(graph: Graph, autotune: bool, sizes: Mapping[str, int] | None) -> Executable:
    from graphkeras.compiler import compile_graph

    return compile_graph(graph, autotune=autotune, sizes=sizes)
