"""Runs passes in order, and holds each to its promises.

Around every pass the manager verifies the graph, measures the time, keeps a record, checks that
inputs, outputs and aliases are still the caller's, and on request compares the numbers and
writes the graph to disk. When a pass fails, what is needed to run it again is written to a
reproducer file named in the error.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from graphkeras.config import setting
from graphkeras.ir.graph import Graph
from graphkeras.ir.op import Array
from graphkeras.ir.verify import VerifyError, verify
from graphkeras.passes.dump import Dump, read_reproducer, write_reproducer
from graphkeras.passes.numerics import check_pass, random_inputs
from graphkeras.passes.record import PassRecord
from graphkeras.passes.registry import parse_pass
from graphkeras.passes.spec import Pass, pass_text

__all__ = ["PassError", "PassManager", "PassNumericsError", "PassRecord", "reproduce"]


class PassError(RuntimeError):
    """A pass that raised, or broke the graph; the message names the reproducer."""


class PassNumericsError(PassError):
    """A pass that changed the numbers; the message names the first node that differs."""


class PassManager:
    """Runs a list of passes over graphs.

    After `run`, `records` holds one `PassRecord` a pass. A manager serves one thread.
    """

    def __init__(
        self,
        passes: Sequence[Pass],
        *,
        verify: bool | None = None,
        check_numbers: bool | None = None,
        inputs: Sequence[Array] | None = None,
        rtol: float = 1e-5,
        dump: Path | None = None,
    ) -> None:
        """Settings of `graphkeras.config` stand in for what is None.

        Args:
            passes: The passes, in order.
            verify: Whether to verify the graph before the first and after each pass.
            check_numbers: Whether the outputs after each pass must agree with those before.
            inputs: Arrays for `check_numbers`; None: random ones with run-time sizes of 3.
            rtol: Tolerance of `check_numbers`, relative to the largest magnitude of an output.
            dump: Folder that gets the graph's text after each pass that changed it.
        """
        self.passes = tuple(passes)
        self.verify = setting("verify") if verify is None else verify
        self.check_numbers = setting("check_numbers") if check_numbers is None else check_numbers
        self.inputs = inputs
        self.rtol = rtol
        self.dump: Path | None = setting("dump") if dump is None else dump
        self.records: list[PassRecord] = []

    def run(self, graph: Graph) -> Graph:
        """The graph after all passes.

        Raises:
            VerifyError: The graph given is wrong.
            PassError: A pass raised, left a wrong graph, or changed the graph's signature.
            PassNumericsError: A pass changed the numbers.
        """
        self.records = []
        if self.verify:
            verify(graph)
        dump = Dump(self.dump, graph) if self.dump else None
        for number, which in enumerate(self.passes, start=1):
            record = self._run_pass(which, graph, dump.folder if dump else None)
            self.records.append(record)
            if dump and record.changed:
                dump.add(number, record.name, record.after)
            graph = record.after
        return graph

    def _run_pass(self, which: Pass, graph: Graph, folder: Path | None) -> PassRecord:
        spec = pass_text(which)
        try:
            start = perf_counter()
            after = which(graph)
            record = PassRecord(which.name, spec, perf_counter() - start, graph, after)
            if record.changed:
                self._check(record)
        except Exception as error:
            path = write_reproducer(folder, graph, spec, error)
            kind = PassNumericsError if isinstance(error, PassNumericsError) else PassError
            raise kind(
                f"pass {spec} failed on graph {graph.name!r}: {type(error).__name__}: {error}\n"
                f"  to run it again: graphkeras reproduce {path}"
            ) from error
        return record

    def _check(self, record: PassRecord) -> None:
        if self.verify:
            verify(record.after, after=record.name)
            check_signature(record)
        if self.check_numbers:
            arrays = random_inputs(record.before) if self.inputs is None else self.inputs
            mismatch = check_pass(record, arrays, self.rtol)
            if mismatch is not None:
                raise PassNumericsError(str(mismatch))


def check_signature(record: PassRecord) -> None:
    """Checks that a pass kept inputs, outputs, names and aliases; it may add outputs.

    Raises:
        VerifyError: It did not.
    """
    before, after = record.before, record.after
    count = len(before.outputs)
    kept = {
        "inputs": ([v.type for v in before.inputs], [v.type for v in after.inputs]),
        "outputs": ([v.type for v in before.outputs], [v.type for v in after.outputs[:count]]),
        "output names": (before.output_names, after.output_names[: len(before.output_names)]),
        "aliases": (dict(before.aliases), {o: i for o, i in after.aliases.items() if o < count}),
    }
    for what, (old, new) in kept.items():
        if old != new:
            raise VerifyError(
                f"{record.name!r} changed the {what} of graph {before.name!r}\n"
                f"  before: {old}\n  after:  {new}",
                after,
            )


def reproduce(path: str | Path) -> PassRecord:
    """Runs the pass of a reproducer again, with verification and numbers checked.

    Raises:
        PassError: The pass failed again.
        ValueError: The file is no reproducer.
    """
    spec, graph = read_reproducer(Path(path))
    manager = PassManager([parse_pass(spec)], verify=True, check_numbers=True)
    manager.run(graph)
    return manager.records[0]
