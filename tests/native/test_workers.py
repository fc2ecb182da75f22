"""Compiling with several processes: the same code, whatever happens to the workers."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

import pytest
from native_samples import kernel_text

from graphkeras.native import workers
from graphkeras.native.compiler import Unit, compile_object
from graphkeras.native.errors import KernelCompileError
from graphkeras.native.target import cpu

COUNT = 2 * workers.SHARE


@pytest.fixture
def units(tmp_path: Path) -> list[Unit]:
    """As many functions as two processes share, of growing length."""
    made = []
    for number in range(COUNT):
        path = tmp_path / f"kernel{number}.py"
        path.write_text(kernel_text(*["argv[0] += tid"] * (number + 1)))
        made.append(Unit(path, "kernel", f"kernel{number}", ("int64", "int64", "int64*"), "void"))
    return made


def in_this_process(units: list[Unit]) -> list[bytes]:
    return [compile_object(unit, "llvm", cpu()) for unit in units]


def test_two_processes_compile_what_one_does(
    units: list[Unit], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    run = workers._Worker._next

    def count(self: workers._Worker, *pipes: object) -> bool:
        done = run(self, *pipes)
        taken.append(done)
        return done

    def slow(unit: Unit, compiler: str, target: object) -> bytes:
        while not taken:  # leaves some to the other process
            time.sleep(0.01)
        return compile_object(unit, compiler, cpu())

    monkeypatch.setattr(workers._Worker, "_next", count)
    monkeypatch.setattr(workers, "compile_object", slow)
    assert workers.compile_objects(units, "llvm", cpu(), 2) == in_this_process(units)
    assert True in taken


def test_few_functions_start_no_process(units: list[Unit], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_start", lambda: pytest.fail("started"))
    few = units[: COUNT - 1]
    assert workers.compile_objects(few, "llvm", cpu(), 8) == in_this_process(few)


@pytest.mark.parametrize("program", ["/no/such/python", "false", "pickles of nothing"])
def test_workers_that_cannot_work_are_missed_and_not_needed(
    program: str,
    units: list[Unit],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\n{'exit 1' if program == 'false' else 'echo nothing; cat'}\n")
    path.chmod(0o755)
    executable = program if program.startswith("/") else str(path)

    def slow(unit: Unit, compiler: str, target: object) -> bytes:
        while not caplog.records:
            time.sleep(0.01)
        return compile_object(unit, compiler, cpu())

    monkeypatch.setattr(sys, "executable", executable)
    monkeypatch.setattr(workers, "compile_object", slow)
    with caplog.at_level(logging.WARNING, logger="graphkeras.kernels"):
        assert workers.compile_objects(units, "llvm", cpu(), 2) == in_this_process(units)
    assert caplog.messages[0].startswith("kernels compile with a process less: ")


def test_a_mistake_is_reported_by_this_process(units: list[Unit]) -> None:
    units[-1].path.write_text(kernel_text("argv[0] = unknown"))
    with pytest.raises(KernelCompileError, match="the name 'unknown' has no value here"):
        workers.compile_objects(units, "llvm", cpu(), 2)
