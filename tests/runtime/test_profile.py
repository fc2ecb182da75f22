"""Profiles: what is counted, what is printed, what a trace holds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from runtime_samples import pipeline, row_sums

from graphkeras.ir import Builder, Size, TensorType
from graphkeras.ir.cost import flops, traffic
from graphkeras.runtime import Executable, pool
from graphkeras.runtime.machine import STREAMS, Level, Machine, cache_sizes, measure_machine
from graphkeras.runtime.profile import KernelProfile, Profile, make_profile

N = Size.symbol("N")


def level(name: str, nbytes: int, rate: float) -> Level:
    return Level(name, nbytes, nbytes, {"read": rate, "triad": rate / 2})


MACHINE = Machine(2, 50e9, 100e9, (level("L2", 4 << 20, 80e9), level("memory", 1 << 62, 10e9)))


# what is counted


def test_operations_follow_from_the_rules_of_the_op_table() -> None:
    b = Builder("g")
    x, w = b.input(TensorType((N, 20)), "x"), b.input(TensorType((20, 30)), "w")
    attrs = {"lhs_batch": (), "rhs_batch": (), "lhs_contract": (1,), "rhs_contract": (0,)}
    dot = b.emit("dot_general", x, w, **attrs)
    assert flops(dot.producer) == 2 * N * 20 * 30
    assert traffic(dot.producer) == 4 * (N * 20 + 20 * 30 + N * 30)
    assert flops(b.emit("exp", dot).producer) == 30 * N
    assert flops(b.emit("reduce_sum", dot, axes=(1,)).producer) == 30 * N
    assert flops(b.emit("reduce_sum", dot, axes=(0, 1)).producer) == 30 * N
    assert flops(b.emit("transpose", dot, perm=(1, 0)).producer) == 0
    image, kernel = b.input(TensorType((N, 8, 8, 3)), "i"), b.input(TensorType((3, 3, 3, 16)), "k")
    dilation = {"lhs_dilation": (1, 1), "rhs_dilation": (1, 1)}
    padding = ((1, 1), (1, 1))
    conv = b.emit("conv", image, kernel, strides=(2, 2), padding=padding, groups=1, **dilation)
    assert flops(conv.producer) == 2 * N * 4 * 4 * 16 * 27
    dilation["lhs_dilation"] = (2, 2)
    conv = b.emit("conv", image, kernel, strides=(1, 1), padding=padding, groups=1, **dilation)
    assert conv.type.shape == (N, 15, 15, 16)
    # Of 15 positions 8 meet one tap with a pixel, and 7 meet two.
    assert flops(conv.producer) == 2 * N * (8 + 7 * 2) ** 2 * 16 * 3


def test_integers_do_no_floating_point_work_and_operands_count_once() -> None:
    b = Builder("g")
    i, x = b.input(TensorType((N,), "int32"), "i"), b.input(TensorType((N,)), "x")
    assert flops(b.emit("add", i, i).producer) == 0
    square = b.emit("mul", x, x)
    assert traffic(square.producer) == 8 * N


# the report


def report(machine: Machine | None = MACHINE) -> Profile:
    """Two runs on two threads: 10 us of work each, the second thread 4 us shorter at first."""
    program = pipeline(1)
    first = [[[0, 10_000, 10_500], [10_500, 20_500, 20_500]]]
    second = [[[0, 6_000, 10_500], [10_500, 20_500, 20_500]]]
    run = np.array(first + second, np.int64)
    runs = np.stack([run + 1_000_000, run + 2_000_000, 2 * run + 5_000_000])
    return make_profile(program, {"N": 100}, program.arena.layout({"N": 100}), runs, machine)


def test_times_are_of_the_slowest_thread_and_medians() -> None:
    profile = report()
    assert profile.seconds == pytest.approx(20.5e-6)
    assert [k.seconds for k in profile.kernels] == pytest.approx([10e-6, 10e-6])
    assert [k.waiting for k in profile.kernels] == pytest.approx([2.5e-6, 0])
    assert (profile.working, profile.waiting) == pytest.approx((18e-6, 2.5e-6))
    assert (profile.times.min(), profile.runs, profile.threads) == (0, 3, 2)


def test_the_roofline_is_that_of_the_nearest_level_that_holds_the_program() -> None:
    profile = report()
    (first, _) = profile.kernels
    assert profile.level == MACHINE.levels[0]
    assert (first.nbytes, first.flops) == (3200, 400)
    assert first.roof == pytest.approx(3200 / 80e9 / 10e-6)
    assert first.gigabytes == pytest.approx(0.32)
    assert MACHINE.least_seconds(1000, 100, MACHINE.levels[1]) == pytest.approx(1e-8)
    assert MACHINE.least_seconds(1000, 1000, MACHINE.levels[1]) == pytest.approx(1e-7)
    assert MACHINE.level(5 << 20).name == "memory"


def test_the_table() -> None:
    profile = report()
    kernel = KernelProfile("conv", "net/conv1", "forward", 5e-6, 1e-6, 2, 10**6, 4000, 2.0)
    text = str(replace(profile, kernels=(kernel,)))
    assert text.splitlines() == [
        "pipeline for N = 100: 20.5 us, 2 threads, median of 3 runs",
        "work 88%, waiting at barriers 12%",
        "       us  share  wait us  GFLOP/s    GB/s   roof  kernel",
        "     5.00  24.4%     1.00    200.0     0.8   200%  net/conv1 (forward): conv",
        "     20.5             2.5     48.8     0.2    49%  all",
        "",
        "fma peak        50.0 GFLOP/s on one thread, 100.0 on 2",
        "L2              80.0 GB/s (read 80.0, triad 40.0; 4 MiB)",
        "memory          10.0 GB/s (read 10.0, triad 5.0; 4398046511104 MiB)",
        "roof: fma peak and L2",
    ]


def test_without_a_roofline() -> None:
    profile = report(None)
    assert profile.level is None
    assert profile.kernels[0].roof is None
    lines = str(profile).splitlines()
    assert lines[3] == (
        "    10.00  48.8%     2.50      0.0     0.3      -  unknown (forward): elementwise"
    )
    assert lines[-1].endswith("-  all")


# the trace


def test_the_trace_has_a_row_a_thread_and_shows_waiting_apart(tmp_path: Path) -> None:
    path = report().to_chrome_trace(tmp_path / "trace.json")
    document = json.loads(path.read_text())
    events = document["traceEvents"]
    named = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert named == {0: "thread 0", 1: "thread 1"}
    spans = [e for e in events if e["ph"] == "X"]
    assert {"name", "cat", "ph", "ts", "dur", "pid", "tid", "args"} == set(spans[0])
    assert [(e["cat"], e["ts"], e["dur"]) for e in spans if e["tid"] == 1] == [
        ("kernel", 0.0, 6.0),
        ("wait", 6.0, 4.5),
        ("kernel", 10.5, 10.0),
    ]
    assert spans[0]["args"]["bytes"] == 3200
    assert spans[0]["args"]["phase"] == "forward"


@pytest.mark.parametrize("threads", [1, 2])
def test_a_measured_program(threads: int, tmp_path: Path) -> None:
    x = np.ones((2000, 4), np.float32)
    try:
        pool.set_num_threads(threads)
        profile = Executable(row_sums()).profile([x], repeats=5, roofline=False)
    finally:
        pool.set_num_threads(None)
    assert profile.times.shape == (threads, 1, 3)
    assert (profile.runs, profile.threads, profile.sizes) == (5, threads, {"N": 2000})
    assert profile.seconds * 1e9 == pytest.approx(profile.times.max())
    assert profile.kernels[0].nbytes == 2000 * 20
    spans = json.loads(profile.to_chrome_trace(tmp_path / "t.json").read_text())["traceEvents"]
    assert {e["tid"] for e in spans} == set(range(threads))


# the machine


def test_seconds_of_launches_count_from_each_threads_own_begin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The second thread's clock is a second ahead.
    run = [[[0, 6_000, 9_000]], [[10**9, 10**9 + 8_000, 10**9 + 9_000]]]
    monkeypatch.setattr(Executable, "_record", lambda *_: np.array([run, run], np.int64))
    executable = Executable(pipeline(1))
    np.testing.assert_allclose(executable.launch_seconds([], 2), [[8e-6], [8e-6]])


def test_the_machine_is_measured() -> None:
    machine = measure_machine()
    assert machine is measure_machine()
    assert machine.threads == pool.get_num_threads()
    assert machine.peak_of_one > 0
    assert machine.peak > 0
    assert [each.name for each in machine.levels][-1] == "memory"
    for each in machine.levels:
        assert set(each.rates) == set(STREAMS)
        assert each.bandwidth > 0


def test_sizes_of_caches(tmp_path: Path) -> None:
    def cache(index: int, level: str, size: str) -> None:
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        (folder / "level").write_text(f"{level}\n")
        (folder / "size").write_text(f"{size}\n")

    assert cache_sizes(tmp_path) == {"L2": 1 << 20, "L3": 32 << 20}
    cache(0, "1", "48K")
    cache(2, "2", "2048K")
    assert cache_sizes(tmp_path) == {"L2": 2 << 20, "L3": 0}
    cache(3, "3", "105M")
    (tmp_path / "index4").mkdir()
    assert cache_sizes(tmp_path) == {"L2": 2 << 20, "L3": 105 << 20}
