"""The whole line, from a graph to an executable. No other module sees all of it.

What happens to a graph, in order::

    graph ─► simplify ─► fold ─► cse ─► skip unread ─► winograd ─► dce ─► split
          ─► fuse ─► schedule ─► kernels ─► Executable

Where some inputs rarely change, what depends on them alone becomes a program of its own::

    graph ─► .. ─► fold scales ─► .. ─┬► prepare ─► .. ─► Executable ┐ factors, panels
                                      └► main ───► .. ─► Executable ◄┘
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import perf_counter

from graphkeras.codegen.cpu.contract.prepack import prepack
from graphkeras.codegen.generate import generate
from graphkeras.codegen.program import Pair
from graphkeras.config import setting
from graphkeras.frozen import frozen
from graphkeras.ir.graph import Graph
from graphkeras.passes import (
    BatchMoments,
    CommonSubexpressions,
    DeadCodeElimination,
    FoldConstants,
    FoldScales,
    Fuse,
    Pass,
    PassManager,
    PassRecord,
    Schedule,
    Simplify,
    SkipUnread,
    SplitProducts,
    SplitReductions,
    Winograd,
)
from graphkeras.passes.split_constants import Split, split_constants
from graphkeras.passes.winograd import alone, form, is_candidate
from graphkeras.runtime.executable import Executable
from graphkeras.runtime.prepared import PreparedExecutable
from graphkeras.tuning import DEFAULT_SIZE, Forms, Tuning, tune, tune_forms

ALGEBRA: tuple[Pass, ...] = (
    # Gradient rules and layers emit the general form; most of it cancels.
    Simplify(),
    FoldConstants(),
    # Forward values that gradients computed again, constants that folding made equal.
    CommonSubexpressions(),
    # Folding and merging expose further identities (a cast of a cast, a sum with zero).
    Simplify(),
    # Fewer pixels of some convolutions; late, so that slices have met.
    SkipUnread(),
)
"""The passes that know the rules of ops."""

FORMS: tuple[Pass, ...] = (
    # Late: the rules above know convolutions.
    Winograd(),
    # Sums that a convolution's kernel can take with it.
    BatchMoments(),
    DeadCodeElimination(),
)
"""The passes that choose between forms of an op."""

TO_KERNELS: tuple[Pass, ...] = (
    # Late: the rules above know whole products and reductions.
    SplitProducts(),
    SplitReductions(),
    # From here on every node is a kernel.
    Fuse(),
)
"""The passes that make kernels."""

PIPELINE: tuple[Pass, ...] = (*ALGEBRA, *FORMS, *TO_KERNELS, Schedule())
"""Every pass, in order. Memory planning and code generation follow."""

PREPARE: tuple[Pass, ...] = (
    # Scales and panels are written in their general form, too.
    Simplify(),
    DeadCodeElimination(),
    *TO_KERNELS,
    Schedule(),
)
"""The passes over a graph that prepares variables."""


def optimize(graph: Graph, pipeline: Sequence[Pass] = PIPELINE) -> PassManager:
    """Runs the passes.

    Returns:
        The manager: its `records` tell what each pass did; the last one's `after` is the
        scheduled graph.
    """
    manager = PassManager(
        pipeline, verify=setting("verify"), check_numbers=setting("check_numbers")
    )
    manager.run(graph)
    return manager


def compile_graph(
    graph: Graph,
    pipeline: Sequence[Pass] = PIPELINE,
    autotune: bool | None = None,
    sizes: Mapping[str, int] | None = None,
) -> Executable:
    """Compiles a graph of primitives.

    Args:
        graph: Inputs may have symbolic dimensions; one executable serves all their values.
        pipeline: Passes to run; the last two must be `Fuse` and `Schedule`.
        autotune: Whether kernels of contractions are chosen by timing; None for the setting.
        sizes: The run-time sizes to time them for; 32 each by default.

    Returns:
        An executable: call it with one array an input. Outputs that alias an input are written
        into that input's array, the others are returned.
    """
    if not _is_tuned(autotune):
        return _executable(optimize(graph, pipeline).records)
    sizes = sizes or dict.fromkeys(graph.symbols, DEFAULT_SIZE)
    forms = Tuning()
    if FORMS[0] in pipeline:
        at = tuple(pipeline).index(FORMS[0])
        before = optimize(graph, pipeline[:at]).records[-1].after
        winograd, forms = _timed_forms(before, sizes, Winograd())
        pipeline = (*pipeline[:at], winograd, *pipeline[at + 1 :])
    return _executable(optimize(graph, pipeline).records, sizes, forms)


@frozen
class Halves:
    """What the passes made of a graph of which some inputs rarely change."""

    split: Split
    prepare: tuple[PassRecord, ...]
    """From the whole graph to the scheduled one that is run when such an input has changed; empty
    where there is nothing to prepare."""
    main: tuple[PassRecord, ...]
    """From the whole graph to the scheduled one that is run in every call."""


PREPARED_WINOGRAD = Winograd(prepared=True)


def _before_forms(constant: Sequence[int]) -> tuple[Pass, ...]:
    # Folding asks for convolutions, whatever form they take.
    return (*ALGEBRA, FoldScales(tuple(constant)))


def optimize_halves(
    graph: Graph, constant: Sequence[int], winograd: Winograd = PREPARED_WINOGRAD
) -> Halves:
    """Runs the passes on a graph of which some inputs rarely change.

    Args:
        graph: The graph.
        constant: Positions of these inputs.
        winograd: The pass that chooses forms of convolutions.
    """
    whole = optimize(graph, (*_before_forms(constant), winograd, *FORMS[1:])).records
    before = whole[-1].after
    begin = perf_counter()
    split = split_constants(before, constant)
    seconds = perf_counter() - begin
    main = [*whole, PassRecord("split_constants", "split_constants", seconds, before, split.main)]
    main += optimize(split.main, TO_KERNELS).records
    begin, fused = perf_counter(), main[-1].after
    split, packed = prepack(split, fused)
    main.append(PassRecord("prepack", "prepack", perf_counter() - begin, fused, packed))
    main += optimize(packed, (Schedule(),)).records
    prepare: tuple[PassRecord, ...] = ()
    if split.prepare.outputs:
        first = PassRecord("split_constants", "split_constants", seconds, before, split.prepare)
        prepare = (first, *optimize(split.prepare, PREPARE).records)
    return Halves(split, prepare, tuple(main))


def compile_halves(
    graph: Graph,
    constant: Sequence[int],
    autotune: bool | None = None,
    sizes: Mapping[str, int] | None = None,
) -> PreparedExecutable | Executable:
    """Compiles a graph of which some inputs rarely change: variables at inference.

    Args:
        graph: As for `compile_graph`.
        constant: Positions of these inputs. Their types have no run-time sizes, and no output is
            the next value of one.
        autotune: As for `compile_graph`.
        sizes: As for `compile_graph`.

    Returns:
        A pair of programs; or one, where no part of the graph is worth to be computed once.
    """
    if _is_tuned(autotune):
        sizes = sizes or dict.fromkeys(graph.symbols, DEFAULT_SIZE)
        before = optimize(graph, _before_forms(constant)).records[-1].after
        winograd, forms = _timed_forms(before, sizes, PREPARED_WINOGRAD)
        halves = optimize_halves(graph, constant, winograd)
        main = _executable(halves.main, sizes, forms)
    else:
        halves = optimize_halves(graph, constant)
        main = _executable(halves.main)
    if not halves.prepare:
        return main
    prepare = _executable(halves.prepare)
    return PreparedExecutable(prepare, main, halves.split.constant, halves.split.sources)


def _timed_forms(
    graph: Graph, sizes: Mapping[str, int], winograd: Winograd
) -> tuple[Winograd, Tuning]:
    """The pass with the forms of convolutions that are faster here, and what was found."""
    if setting("winograd") != "auto":
        return winograd, Tuning()
    forms = []
    for node in filter(is_candidate, graph.nodes):
        single, known = alone(node), form(node)
        pairs = {
            True: _pair(single, replace(winograd, faster=(known,))),
            False: _pair(single, replace(winograd, slower=(known,))),
        }
        forms.append(Forms(node, known, single, winograd.is_wanted(node), pairs))
    chosen, found = tune_forms(forms, sizes)
    faster, slower = (tuple(sorted(f for f in chosen if chosen[f] is w)) for w in (True, False))
    return replace(winograd, faster=faster, slower=slower), found


def _pair(graph: Graph, winograd: Winograd) -> Pair:
    """The programs of one convolution, whose kernel is input 1."""
    if not winograd.prepared:
        pipeline = (*ALGEBRA, winograd, *FORMS[1:], *TO_KERNELS, Schedule())
        return Pair(generate(optimize(graph, pipeline).records[-1].after), None)
    halves = optimize_halves(graph, (1,), winograd)
    main = generate(halves.main[-1].after)
    if not halves.prepare:
        return Pair(main, None)
    prepare = generate(halves.prepare[-1].after)
    return Pair(main, prepare, halves.split.constant, halves.split.sources)


def _is_tuned(autotune: bool | None) -> bool:
    return bool(setting("autotune") if autotune is None else autotune)


def _executable(
    records: Sequence[PassRecord],
    sizes: Mapping[str, int] | None = None,
    forms: Tuning | None = None,
) -> Executable:
    """Native code; with `forms`, what was found by timing before, its kernels are timed, too."""
    kept, scheduled, tuning = tuple(records), records[-1].after, None
    if forms is not None and sizes is not None:
        found = tune(scheduled, sizes)
        tuning = replace(found, contractions=(*forms.contractions, *found.contractions))
    program = generate(scheduled, tuning.choices if tuning else None)
    executable = Executable(replace(program, explain=lambda: kept))
    executable.tuning = tuning
    return executable
