"""Kernels chosen by timing: found once, kept, read back, and never in the way."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphkeras as keras
from graphkeras import config
from graphkeras.codegen.cpu.contract import BY_MODEL, Choices
from graphkeras.codegen.generate import variants
from graphkeras.codegen.program import KernelSource
from graphkeras.compiler import compile_graph, optimize
from graphkeras.errors import ConfigError
from graphkeras.ir import Builder, Graph, Size, TensorType
from graphkeras.ir.evaluate import evaluate
from graphkeras.runtime import disk_cache, kernel_cache
from graphkeras.runtime.executable import Executable
from graphkeras.tuning import contest, forms, tuner, whole
from graphkeras.tuning.contest import Contest
from graphkeras.tuning.winners import Winner

N = Size.symbol("N")
SIZES = {"N": 5}
CALL_SECONDS = whole.call_seconds


@pytest.fixture(autouse=True)
def _quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cache of its own, and as few rounds and kernels as there can be."""
    monkeypatch.setattr(contest, "LEAST_ROUNDS", 1)
    monkeypatch.setattr(contest, "HEAT_SECONDS", 0.0)
    monkeypatch.setattr(contest, "FINAL_SECONDS", 0.0)
    monkeypatch.setattr(forms, "LEAST_ROUNDS", 1)
    monkeypatch.setattr(forms, "SECONDS", 0.0)
    monkeypatch.setattr(contest, "variants", lambda node: variants(node)[:3])
    monkeypatch.setattr(whole, "call_seconds", lambda *_: [2.0, 1.0])
    with config.override(home=tmp_path, interactive_logging=False):
        yield


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[Contest]:
    """The contests that are held; the winner is always a tile of three rows."""
    contests: list[Contest] = []

    def hold(self: Contest) -> Winner:
        contests.append(self)
        return Winner(Choices(rows=3), 2e-6, 1e-6)

    monkeypatch.setattr(Contest, "hold", hold)
    monkeypatch.setattr(forms.FormContest, "hold", lambda self: Winner(BY_MODEL, 1e-6, 1e-6))
    return contests


def dense(outputs: int = 40) -> Graph:
    """A dense layer with a rectifier."""
    b = Builder("dense")
    x, w = b.input(TensorType((N, 17)), "x"), b.input(TensorType((17, outputs)), "w")
    contracted = {"lhs_contract": (1,), "rhs_contract": (0,), "lhs_batch": (), "rhs_batch": ()}
    return b.build([b.emit("tanh", b.emit("dot_general", x, w, **contracted))])


def compiled(graph: Graph, sizes: Mapping[str, int] = SIZES, autotune: bool = True) -> Executable:
    return compile_graph(graph, autotune=autotune, sizes=sizes)


def tuned_files(home: Path) -> list[Path]:
    return sorted((home / "kernels").glob("*.tuned"))


def check(executable: Executable, graph: Graph) -> None:
    rng = np.random.default_rng(0)
    for size in (1, 5, 16):
        arrays = [rng.random(v.type.concrete({"N": size}), np.float32) for v in graph.inputs]
        (expected,), (received,) = evaluate(graph, arrays), executable(arrays)
        np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-5)


def test_a_contest_is_held_once(held: list[Contest], tmp_path: Path) -> None:
    first, second = compiled(dense()), compiled(dense())
    assert len(held) == 1
    assert len(tuned_files(tmp_path)) == 1
    assert [t.timed for e in (first, second) for t in e.tuning.contractions] == [True, False]
    assert second.tuning.contractions[0].winner == Winner(Choices(rows=3), 2e-6, 1e-6)
    texts = {e.program.launches[0].kernel.text for e in (first, second)}
    assert len(texts) == 1
    assert texts != {compiled(dense(), autotune=False).program.launches[0].kernel.text}
    check(second, dense())


def test_what_decides_a_contest(held: list[Contest], monkeypatch: pytest.MonkeyPatch) -> None:
    compiled(dense())
    compiled(dense(41))
    compiled(dense(), {"N": 6})
    monkeypatch.setattr(tuner, "get_num_threads", lambda: 77)
    compiled(dense())
    assert len(held) == 4


def test_equal_contractions_share_a_contest(held: list[Contest]) -> None:
    b = Builder("two")
    x, w = b.input(TensorType((N, 17)), "x"), b.input(TensorType((17, 17)), "w")
    contracted = {"lhs_contract": (1,), "rhs_contract": (0,), "lhs_batch": (), "rhs_batch": ()}
    y = b.emit("dot_general", x, w, **contracted)
    executable = compiled(b.build([b.emit("dot_general", y, w, **contracted)]))
    assert len(held) == 1
    assert len(executable.tuning.contractions) == 2
    assert len(executable.tuning.choices) == 2


def test_kernels_of_all_contests_are_compiled_together(
    held: list[Contest], monkeypatch: pytest.MonkeyPatch
) -> None:
    b = Builder("two")
    x = b.input(TensorType((N, 17)), "x")
    contracted = {"lhs_contract": (1,), "rhs_contract": (0,), "lhs_batch": (), "rhs_batch": ()}
    for width in (40, 50):
        w = b.input(TensorType((x.type.shape[1], width)), "w")
        x = b.emit("tanh", b.emit("dot_general", x, w, **contracted))
    loaded: list[set[str]] = []
    load = kernel_cache.load

    def note(sources: Sequence[KernelSource]) -> list[int]:
        loaded.append({source.text for source in sources})
        return load(sources)

    monkeypatch.setattr(kernel_cache, "load", note)
    compiled(b.build([x]))
    assert len(held) == 2
    assert loaded[0] == {kernel.text for each in held for kernel in each.kernels}
    assert len(loaded[0]) > 2


def test_without_autotune_nothing_is_read(held: list[Contest]) -> None:
    compiled(dense())
    plain = compiled(dense(), autotune=False)
    assert plain.tuning is None
    assert (
        plain.program.launches[0].kernel.text
        == compile_graph(dense()).program.launches[0].kernel.text
    )


def test_the_setting(held: list[Contest]) -> None:
    with config.override(autotune=True):
        executable = compile_graph(dense())
    assert executable.tuning.contractions[0].sizes == {"N": 32}
    with pytest.raises(ConfigError, match="'autotune': expected a flag: 1, true, on, yes or 0"):
        config.set("autotune", "maybe")


def test_the_report(held: list[Contest]) -> None:
    lines = str(compiled(dense()).tuning).splitlines()
    assert lines[0].split() == ["default", "us", "chosen", "us", "gain", "contraction:", "choices"]
    assert lines[1].split()[:3] == ["2.0", "1.0", "2.00"]
    assert lines[1].endswith("dot_general_tanh N=5: rows 3")


def test_kernels_that_are_slower_together_are_left(
    held: list[Contest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole, "call_seconds", lambda *_: [4e-6, 5e-6])
    plain = compiled(dense(), autotune=False)
    executable = compiled(dense())
    assert executable.tuning.choices == {}
    assert executable.program.launches[0].kernel.text == plain.program.launches[0].kernel.text
    verdict = "the whole program: slower together: the cost model's are kept"
    assert str(executable.tuning).splitlines()[-1] == f"       4.0        5.0   0.80  {verdict}"
    # The verdict is kept like a winner.
    monkeypatch.setattr(whole, "call_seconds", lambda *_: pytest.fail("timed again"))
    assert compiled(dense()).tuning.whole == Winner(BY_MODEL, 4e-6, 5e-6)


def test_whole_programs_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "SECONDS", 0.0)
    programs = [compiled(dense(units), autotune=False).program for units in (40, 40)]
    seconds = CALL_SECONDS(dense(), programs, SIZES)
    assert len(seconds) == 2
    assert min(seconds) > 0


def test_a_real_contest(tmp_path: Path) -> None:
    # No other test has this shape: its kernels are in no process's memory yet.
    graph = dense(43)
    executable = compiled(graph)
    (found,) = executable.tuning.contractions
    assert found.timed
    assert 0 < found.winner.seconds <= found.winner.default
    check(executable, graph)
    # Nothing is left of the kernels that lost.
    kept = {compiled(graph, autotune=flag).program.launches[0].kernel for flag in (True, False)}
    kernels = [p for p in (tmp_path / "kernels").glob("*.py") if "dot_general" in p.name]
    assert len(kernels) == len(kept) == (1 if found.winner.choices == BY_MODEL else 2)
    assert not list((tmp_path / "kernels").glob(".*"))


def test_noise_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def times(self: Contest, choices: list[Choices], *_: Any) -> dict[Choices, float]:
        return {choice: 1.0 if choice == BY_MODEL else 0.98 for choice in choices}

    monkeypatch.setattr(Contest, "_times", times)
    executable = compiled(dense())
    assert executable.tuning.contractions[0].winner.choices == BY_MODEL
    assert executable.tuning.choices == {}


def test_the_fastest_steps_are_taken_together(monkeypatch: pytest.MonkeyPatch) -> None:
    def times(self: Contest, choices: list[Choices], *_: Any) -> dict[Choices, float]:
        speed = {"vectors": 0.8, "a_in_place": 0.7}
        faster = [[speed[f] for f in speed if getattr(c, f) is not None] for c in choices]
        return {c: float(np.prod(f)) for c, f in zip(choices, faster, strict=True)}

    monkeypatch.setattr(Contest, "_times", times)
    monkeypatch.setattr(
        contest, "variants", lambda node: [Choices(vectors=1), Choices(a_in_place=False)]
    )
    executable = compiled(dense())
    (found,) = executable.tuning.contractions
    assert found.winner.choices == Choices(vectors=1, a_in_place=False)
    assert found.gain == pytest.approx(1 / 0.56)
    check(executable, dense())


def test_busy_cores_leave_the_default(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    def hold(self: Contest) -> Winner:
        raise RuntimeError("other programs keep the cores busy")

    monkeypatch.setattr(Contest, "hold", hold)
    with caplog.at_level(logging.WARNING, "graphkeras.tuning"):
        executable = compiled(dense())
    assert executable.tuning.contractions == ()
    assert "cannot time the kernels of unknown: other programs keep" in caplog.text
    assert not tuned_files(tmp_path)
    check(executable, dense())


@pytest.mark.parametrize("damage", [b"", b"{}", b"graphkeras-cache-1\n{}"])
def test_a_damaged_file_is_replaced(damage: bytes, held: list[Contest], tmp_path: Path) -> None:
    compiled(dense())
    (path,) = tuned_files(tmp_path)
    good = path.read_bytes()
    path.write_bytes(damage)
    compiled(dense())
    assert len(held) == 2
    assert path.read_bytes() == good


def test_a_file_of_another_contest_is_replaced(held: list[Contest], tmp_path: Path) -> None:
    compiled(dense())
    (path,) = tuned_files(tmp_path)
    compiled(dense(41))
    (other,) = set(tuned_files(tmp_path)) - {path}
    path.write_bytes(other.read_bytes())
    compiled(dense())
    assert len(held) == 3


def test_a_folder_that_can_only_be_read(held: list[Contest], tmp_path: Path) -> None:
    compiled(dense())
    with config.override(home=tmp_path):
        (tmp_path / "kernels").chmod(0o500)
        try:
            later = compiled(dense())
        finally:
            (tmp_path / "kernels").chmod(0o700)
    assert len(held) == 1
    assert not later.tuning.contractions[0].timed


def test_a_folder_that_cannot_be_written(held: list[Contest], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with config.override(home=tmp_path / "file"):
        with pytest.warns(RuntimeWarning, match="cannot be written"):
            executable = compiled(dense())
        check(executable, dense())
        compiled(dense())
    assert len(held) == 1


def test_a_file_that_cannot_be_written(
    held: list[Contest], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(disk_cache, "write_file", full)
    with caplog.at_level(logging.WARNING, "graphkeras"):
        executable = compiled(dense())
    assert ".tuned: disk full" in caplog.text
    check(executable, dense())


TUNE = """
from graphkeras.compiler import compile_graph
from graphkeras.ir import Builder, Size, TensorType
from graphkeras.tuning import contest
contest.HEAT_SECONDS = contest.FINAL_SECONDS = 0.0
b = Builder("dense")
x, w = b.input(TensorType((Size.symbol("N"), 17)), "x"), b.input(TensorType((17, 20)), "w")
y = b.emit("dot_general", x, w, lhs_contract=(1,), rhs_contract=(0,), lhs_batch=(), rhs_batch=())
print([t.timed for t in compile_graph(b.build([y])).tuning.contractions])
"""


def start(home: Path) -> subprocess.Popen[str]:
    root = str(Path(keras.__file__).parents[1])
    variables = {"GRAPHKERAS_HOME": str(home), "GRAPHKERAS_AUTOTUNE": "1", "PYTHONPATH": root}
    return subprocess.Popen(
        [sys.executable, "-c", TUNE],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_processes_share_what_they_find(tmp_path: Path) -> None:
    together = [start(tmp_path), start(tmp_path)]
    for process in together:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    assert len(tuned_files(tmp_path)) == 1
    later = start(tmp_path)
    output, errors = later.communicate(timeout=240)
    assert later.returncode == 0, errors
    # No message either: nothing was timed.
    assert output == "[False]\n"


def test_a_node_that_does_not_know_its_sizes() -> None:
    b = Builder("constant")
    x, w = b.input(TensorType((N,)), "x"), b.input(TensorType((3, 40)), "w")
    row = b.emit("reduce_sum", b.emit("broadcast", x, shape=(3, N), dims=(1,)), axes=(1,))
    y = b.emit("broadcast", row, shape=(N, 3), dims=(1,))
    contracted = {"lhs_contract": (1,), "rhs_contract": (0,), "lhs_batch": (), "rhs_batch": ()}
    graph = b.build([b.emit("dot_general", y, w, **contracted)])
    scheduled = optimize(graph).records[-1].after
    nodes = [node for node in scheduled.nodes if variants(node)]
    for node in nodes:
        assert Contest(node, SIZES).sizes == SIZES
    check(compiled(graph), graph)


def model() -> keras.Model:
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((6, 6, 2)),
            layers.Conv2D(5, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def test_compile_with_autotune_trains_to_the_same_weights(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((20, 6, 6, 2), np.float32), rng.integers(0, 3, 20)
    weights = []
    for autotune in (False, True):
        keras.utils.set_random_seed(3)
        trained = model()
        trained.compile("sgd", "sparse_categorical_crossentropy", autotune=autotune)
        trained.fit(x, y, batch_size=8, epochs=2, verbose=0)
        weights.append(trained.get_weights())
        (step,) = trained.training_state.steps.made()
        if autotune:
            assert {n for t in step.executable.tuning.contractions for n in t.sizes.items()} == {
                ("N", 8)
            }
            assert tuned_files(tmp_path)
        else:
            assert step.executable.tuning is None
    for plain, tuned in zip(*weights, strict=True):
        np.testing.assert_allclose(tuned, plain, rtol=1e-5, atol=1e-6)


def test_predict_follows_the_argument_of_compile(held: list[Contest]) -> None:
    trained = model()
    trained.compile(autotune=True)
    trained.predict(np.zeros((7, 6, 6, 2), np.float32), verbose=0)
    assert [contest.sizes for contest in held] == [{"N": 7}] * 2
    with config.override(autotune=True):
        other = model()
        other.compile(autotune=False)
        other.predict(np.zeros((9, 6, 6, 2), np.float32), verbose=0)
    assert len(held) == 2


def test_compile_refuses_other_values() -> None:
    with pytest.raises(ConfigError) as info:
        model().compile(autotune="yes")  # type: ignore[arg-type]
    assert str(info.value) == (
        "compile: autotune must be True, False or None (the setting `autotune`), received 'yes'"
    )


@pytest.mark.parametrize("lies", [False, True])
def test_a_kernel_that_gives_other_numbers_is_refused(
    lies: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    default = compiled(dense(), autotune=False).program.launches[0].kernel.text
    run = Executable.__call__

    def run_or_lie(self: Executable, arrays: Sequence[Any]) -> tuple[Any, ...]:
        results = run(self, arrays)
        honest = not lies or self.program.launches[0].kernel.text == default
        return results if honest else tuple(array * np.float32(1.1) for array in results)

    def others_are_faster(self: Contest, choices: Sequence[Choices], *_: Any) -> Any:
        return {choice: 2.0 if choice == BY_MODEL else 1.0 for choice in choices}

    monkeypatch.setattr(Executable, "__call__", run_or_lie)
    monkeypatch.setattr(Contest, "_times", others_are_faster)
    executable = compiled(dense())
    assert bool(executable.tuning.choices) is not lies
    assert ("gives other numbers than the default one" in caplog.text) is lies
