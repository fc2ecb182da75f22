"""Rounds in turn, failures that leave the others going, and processes that are told to work."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.judge import Judge
from benchmarks.measure import chosen_rows, measure
from benchmarks.rows import ROWS, SECTIONS, Below, Faster, Row, Share, Threads
from benchmarks.systems import OURS, SYSTEMS, limits
from benchmarks.systems.graphkeras_api import contraction
from benchmarks.team import ROOT, SystemFailed, Team
from benchmarks.work import Convolution, Fresh, Prediction, Product, sample_of
from graphkeras.ir.evaluate import evaluate
from graphkeras.runtime.machine import Level, Machine


class Script:
    """A team that answers what it is told to, and remembers whom it asked."""

    def __init__(self, **answers: Any) -> None:
        self.asked: list[str] = []
        self._answers = answers

    def ask(self, name: str, verb: str, key: str) -> dict[str, Any]:
        self.asked.append(f"{verb} {name}")
        answer = self._answers[name]
        if verb in answer:
            raise SystemFailed(answer[verb])
        return {"seconds": answer["seconds"], "sample": answer.get("sample", [1.0])}


def row(*goals: Any, work: Any = None) -> Row:
    return Row("test/row", "row", work or Prediction("mlp", 1), (OURS, "torch", "numpy"), goals)


def test_systems_take_turns():
    team = Script(graphkeras={"seconds": 1.0}, torch={"seconds": 2.0})
    result = measure(row(), [OURS, "torch"], team, 2)  # type: ignore[arg-type]
    turns = ["graphkeras", "torch"]
    assert team.asked == [f"{verb} {n}" for verb in ("prepare", "run", "run") for n in turns]
    assert result["torch"] == {"first": 2.0, "rounds": [2.0, 2.0]}


def test_a_system_that_fails_leaves_the_others_going():
    team = Script(
        graphkeras={"seconds": 1.0}, torch={"prepare": "no torch"}, numpy={"seconds": 1, "run": "x"}
    )
    result = measure(row(), [OURS, "torch", "numpy"], team, 2)  # type: ignore[arg-type]
    assert result[OURS]["rounds"] == [1.0, 1.0]
    assert result["torch"] == {"error": "no torch"}
    assert result["numpy"]["error"] == "x"


@pytest.mark.parametrize("sample", [[1.0, 2.1], [1.0], [1.0, float("nan")]])
def test_another_answer_is_an_error(sample):
    team = Script(
        graphkeras={"seconds": 1.0, "sample": [1.0, 2.0]}, torch={"seconds": 1.0, "sample": sample}
    )
    result = measure(row(), [OURS, "torch"], team, 1)  # type: ignore[arg-type]
    assert result["torch"]["error"].startswith("its answer differs from that of graphkeras, ")


def test_a_process_is_asked_and_says_what_went_wrong(tmp_path):
    with Team(sys.executable, tmp_path / "log") as team:
        answer = team.ask("numpy", "prepare", "product/512")
        assert len(answer["sample"]) == 17
        assert team.ask("numpy", "run", "product/512")["seconds"] > 0
        with pytest.raises(SystemFailed, match="NotImplementedError: NumPy has no call for Pred"):
            team.ask("numpy", "prepare", "predict/convnet-1")
        with pytest.raises(SystemFailed, match="RuntimeError: nothing is prepared"):
            team.ask("numpy", "run", "predict/convnet-1")


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_stopped_worker_ends_with_a_parent_that_is_killed(tmp_path):
    code = (
        "import sys, os, pathlib; from benchmarks.team import Member\n"
        "m = Member('numpy', sys.executable, pathlib.Path(sys.argv[1]))\n"
        "m.ask('prepare', 'product/512'); print(m._process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "log")],
        cwd=ROOT,
        capture_output=True,
        timeout=120,
    )
    state = Path(f"/proc/{int(done.stdout)}/status")
    for _ in range(100):
        # Its new parent may take a moment to collect it.
        if not state.exists() or "State:\tZ" in state.read_text():
            return
        time.sleep(0.05)
    pytest.fail("the worker is still there")


def test_rows_are_chosen_by_key_or_by_its_beginning():
    assert [r.key for r in chosen_rows(["predict/resnet50-1"], False)] == ["predict/resnet50-1"]
    assert {r.section for r in chosen_rows(["train", "start"], False)} == {"train", "start"}
    assert 0 < len(chosen_rows([], True)) < 10
    with pytest.raises(ValueError, match="no row begins with 'trian'; `--list` prints them"):
        chosen_rows(["trian"], False)


def test_every_row_has_a_section_and_known_systems():
    for key, each in ROWS.items():
        assert each.section in SECTIONS, key
        assert each.systems[0] == OURS
        assert set(each.systems) <= set(SYSTEMS)


@pytest.mark.parametrize("direction", ["forward", "input gradient", "weight gradient"])
def test_contractions_are_those_of_the_peers(direction):
    work = Product(4, 5, 3, direction)
    x, w, dy = work.arrays()
    expected = {"forward": x @ w, "input gradient": dy @ w.T, "weight gradient": x.T @ dy}
    graph, result = contraction(work)
    (received,) = evaluate(graph, [x, w, dy, np.zeros_like((x, w, dy)[result])])
    np.testing.assert_allclose(received, expected[direction], rtol=1e-5)


def test_a_depthwise_convolution_works_on_each_channel():
    work = Convolution(4, 3, 3, 2, 1, depthwise=True)
    x, w, dy = work.arrays()
    graph, _ = contraction(work)
    (received,) = evaluate(graph, [x, w, dy, np.zeros_like(dy)])
    np.testing.assert_allclose(received, x * w[0, 0, 0], rtol=1e-5)
    assert work.operations == 2 * 2 * 4 * 4 * 3
    assert work.bytes == 4 * (2 * 2 * 4 * 4 * 3 + 3)


class FakeLoop:
    """Moves the clock on as a loop of a given rate would."""

    clock = 0.0

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def run(self) -> float:
        FakeLoop.clock += 1e-3
        return self.rate * 1e-3


def test_the_roofline_is_the_mean_rate_of_a_round(monkeypatch):
    near, far = (
        Level("L2", 200_000, 1, {"read": 1e9}),
        Level("memory", 1 << 62, 77, {"read": 5e7, "copy": 1e8}),
    )
    asked = []
    fma, stream = FakeLoop(1.5e9), FakeLoop(8e7)
    monkeypatch.setattr(limits, "measure_machine", lambda: Machine(2, 1e9, 2e9, (near, far)))
    monkeypatch.setattr(limits, "fma_loop", lambda *given: asked.append(given) or fma)
    monkeypatch.setattr(limits, "stream_loop", lambda *given: asked.append(given) or stream)
    monkeypatch.setattr(limits, "perf_counter", lambda: FakeLoop.clock)
    prepared = limits.prepare(Product(100, 100, 100))
    assert prepared.tells_seconds
    assert asked == [(2, limits.SHORT_STEPS)]
    assert prepared.run() == pytest.approx(2e6 / 1.5e9)
    fma.rate = 1e9
    assert prepared.run() == pytest.approx(2e6 / 1e9)
    # A depthwise convolution of one tap is bound by the memory that holds it.
    work = Convolution(64, 8, 8, 1, 1, depthwise=True)
    assert limits.prepare(work).run() == pytest.approx(work.bytes / 8e7)
    assert asked[-1] == ("copy", 77)
    with pytest.raises(NotImplementedError, match="no limit is known for Prediction"):
        limits.prepare(Prediction("mlp", 1))


def test_a_sample_has_at_most_16_elements_and_a_sum_of_all():
    assert sample_of(np.arange(3))[:-1] == [0, 1, 2]
    assert len(sample_of(np.zeros((7, 11)))) == 17


def test_samples_tell_where_the_only_element_is():
    one = np.zeros(1000)
    one[501] = 1
    other = np.roll(one, 1)
    assert sample_of(one)[:-1] == sample_of(other)[:-1] == [0.0] * 16
    assert sample_of(one)[-1] != sample_of(other)[-1]


def judge(*goals: Any, work: Any = None, **seconds: float) -> Judge:
    result = {name.replace("_", "-"): {"rounds": [2 * s, s]} for name, s in seconds.items()}
    return Judge(row(*goals, work=work), result, "ms")


def test_goals_are_judged_by_the_fastest_rounds():
    found = judge(Faster(2.0, ("torch", "numpy")), graphkeras=1.0, torch=2.5, numpy=1.5)
    (verdict,) = found.verdicts()
    assert (verdict.goal, verdict.received, verdict.met) == ("2x NumPy", "1.50x", False)
    assert found.median(OURS) == 1.5


def test_two_threads_need_not_help_below_a_millisecond():
    assert not judge(Threads(), graphkeras=0.0009, graphkeras_1=0.0009).verdicts()
    (verdict,) = judge(Threads(), graphkeras=0.002, graphkeras_1=0.0035).verdicts()
    assert (verdict.received, verdict.met) == ("1.75x", True)


def test_share_of_the_roofline():
    found = judge(Share(0.8), graphkeras=0.02, roofline=0.01)
    assert found.share() == pytest.approx(0.5)
    assert judge(Share(0.8), graphkeras=0.02).share() is None


def test_what_the_limits_give_all_threads():
    found = judge(Threads(), graphkeras=0.02, roofline=0.01, roofline_1=0.018)
    assert found.machine_threads() == pytest.approx(1.8)
    assert judge(Threads(), graphkeras=0.02, roofline=0.01).machine_threads() is None


def test_a_goal_of_a_row_that_failed_is_not_met():
    found = Judge(row(Below(3), Faster(2.0, ("torch",))), {OURS: {"error": "no"}}, "ms")
    assert [(v.received, v.met) for v in found.verdicts()] == [("failed", False)] * 2


def test_a_goal_beside_a_peer_that_is_not_installed_is_left_out():
    assert not judge(Faster(2.0, ("torch",)), graphkeras=1.0).verdicts()


def test_every_measure_of_a_fresh_process_exists():
    from benchmarks import fresh

    for each in ROWS.values():
        if isinstance(each.work, Fresh):
            assert callable(getattr(fresh, each.work.measure))
