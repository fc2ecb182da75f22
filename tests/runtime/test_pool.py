"""The launcher: barriers hold, teams shrink, forks and other threads do no harm."""

from __future__ import annotations

import threading
from collections import Counter

import numpy as np
import pytest
from runtime_samples import CHECK, COUNT, REBASE, elementwise
from runtime_scripts import Script

import graphkeras
from graphkeras import config
from graphkeras.runtime import kernel_cache, pool
from graphkeras.runtime.pool import Job, Pool, row_of


class Probe:
    """A job of rounds: every thread counts, and after the barrier checks that all have."""

    def __init__(self, rounds: int = 10) -> None:
        count, check, rebase = kernel_cache.load([COUNT, CHECK, REBASE])
        self.words = np.zeros(24, np.int64)
        a, b, c = (self.words[i:].ctypes.data for i in (0, 8, 16))
        self.argv = [np.array(row) for row in ([a, 0, 0], [a, b, c], [a, c, 0])]
        kernels = zip((count, check, rebase), self.argv, strict=True)
        rows = [(kernel, argv.ctypes.data, 1, 1, 1) for kernel, argv in kernels]
        self.job = Job(rows * rounds)

    @property
    def violations(self) -> int:
        return int(self.words[8])


@pytest.fixture
def team():
    """Makes pools, and closes them after the test."""
    made: list[Pool] = []

    def make(threads: int, **options: bool) -> Pool:
        made.append(Pool(threads, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("threads", [1, 2, 3, 4, 5, 9])
def test_every_thread_passes_every_barrier(team, threads: int):
    probe = Probe()
    probe.job.attach(team(threads))
    sizes = Counter(probe.job.run() for _ in range(300))
    assert probe.violations == 0
    assert set(sizes) <= set(range(1, threads + 1))
    assert probe.words[0] == sum(10 * size * times for size, times in sizes.items())


def test_twenty_thousand_launches(team):
    probe = Probe(rounds=2)
    probe.job.attach(team(2))
    total = sum(probe.job.run() for _ in range(2000)) + probe.job.run(18000)
    assert probe.violations == 0
    assert probe.words[0] == 2 * total
    assert 20000 <= total <= 40000


def test_workers_take_part(team):
    probe = Probe(rounds=1)
    probe.job.attach(team(2))
    assert any(probe.job.run() == 2 for _ in range(5000))


def test_idle_workers_sleep_and_come_back(team):
    probe = Probe(rounds=1)
    pause = threading.Event()
    probe.job.attach(team(2))
    seen = Counter()
    for _ in range(200):
        pause.wait(0.005)
        seen[probe.job.run()] += 1
    assert probe.violations == 0
    assert seen[2] > 0


def test_workers_without_a_futex(team):
    probe = Probe(rounds=1)
    pause = threading.Event()
    probe.job.attach(team(2, futex=False))
    for _ in range(50):
        pause.wait(0.003)
        probe.job.run(20)
    assert probe.violations == 0


def test_a_job_may_ask_for_fewer_threads(team):
    probe = Probe(rounds=1)
    probe.job.threads = 2
    probe.job.attach(team(4))
    assert {probe.job.run() for _ in range(300)} <= {1, 2}
    assert probe.violations == 0


def test_two_threads_launch_at_once(team):
    shared = team(2)
    probes = [Probe(), Probe()]
    teams: list[Counter[int]] = [Counter(), Counter()]

    def work(which: int) -> None:
        for _ in range(2000):
            teams[which][probes[which].job.run()] += 1

    for probe in probes:
        probe.job.attach(shared)
    threads = [threading.Thread(target=work, args=(i,)) for i in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for probe, sizes in zip(probes, teams, strict=True):
        assert probe.violations == 0
        assert probe.words[0] == sum(10 * size * times for size, times in sizes.items())


def test_a_busy_machine(team):
    """More runnable threads than cores: launches go on, with the team there is."""
    spin = elementwise("math.exp(x[i])")
    (address,) = kernel_cache.load([spin])
    x, y = np.zeros(4_000_000, np.float32), np.zeros(4_000_000, np.float32)
    argv = np.array([x.ctypes.data, y.ctypes.data, x.size])
    burner = Job([row_of(address, argv.ctypes.data)])
    burner.attach(None)
    done = threading.Event()

    def burn() -> None:
        while not done.is_set():
            burner.run()

    burning = [threading.Thread(target=burn) for _ in range(2)]
    for thread in burning:
        thread.start()
    probe = Probe()
    probe.job.attach(team(3))
    total = sum(probe.job.run() for _ in range(100))
    done.set()
    for thread in burning:
        thread.join()
    assert probe.violations == 0
    assert probe.words[0] == 10 * total


def test_a_closed_pool_runs_on_one_thread(team):
    closed = team(2)
    closed.close()
    probe = Probe()
    probe.job.attach(closed)
    assert {probe.job.run() for _ in range(10)} == {1}


def test_profile_tells_when_each_thread_did_what(team):
    probe = Probe(rounds=3)
    probe.job.attach(team(2))
    times = probe.job.profile(20)
    assert times.shape == (20, 2, 9, 3)
    assert (np.diff(times.reshape(20, 2, 27)) >= 0).all()
    # Behind a barrier nobody goes on before the last one has arrived.
    ends, passed = times[:, :, :-1, 1], times[:, :, :-1, 2]
    assert (passed.min(axis=1) >= ends.max(axis=1)).all()
    assert (times[:, 0, 0, 0] >= np.roll(times[:, 0, -1, 1], 1))[1:].all()


def test_a_profile_needs_the_whole_team(team):
    closed = team(2)
    closed.close()
    probe = Probe(rounds=1)
    probe.job.attach(closed)
    with pytest.raises(RuntimeError) as caught:
        probe.job.profile(2)
    assert str(caught.value) == (
        "0 of 40 runs had all 2 threads at once, expected 2: other programs keep the cores busy. "
        "End them, or choose fewer threads with set_num_threads"
    )


def test_a_team_that_needs_no_barrier_takes_none(team):
    probe = Probe(rounds=3)
    probe.job.attach(team(2))
    probe.job.table[:, 2] = 2
    times = probe.job.profile(20)
    waits = times[:, :, :, 2] - times[:, :, :, 1]
    assert np.median(waits) < 100_000
    probe.job.table[:, 2] = 3
    assert probe.job.run() in (1, 2)


def test_thread_count_follows_the_program_then_the_setting(monkeypatch):
    try:
        with config.override(num_threads=3):
            pool.set_num_threads(None)
            assert pool.get_num_threads() == 3
            assert pool.current().threads == 3
            pool.set_num_threads(2)
            assert pool.get_num_threads() == 2
            assert pool.current().threads == 2
    finally:
        pool.set_num_threads(None)
    monkeypatch.setenv("GRAPHKERAS_NUM_THREADS", "4")
    assert pool.get_num_threads() == 4


def test_a_changed_setting_counts_from_the_next_launch():
    with config.override(num_threads=3):
        first = pool.current()
        assert first.threads == 3
        with config.override(nan_loss="warn"):
            assert pool.current() is first
        with config.override(num_threads=2):
            assert pool.current().threads == 2
        assert pool.current().threads == 3


def test_no_threads_at_all_is_an_error():
    with pytest.raises(ValueError, match="number of threads must be at least 1, received 0"):
        pool.set_num_threads(0)


def test_no_more_threads_than_a_barrier_serves():
    with config.override(num_threads=1000):
        assert pool.get_num_threads() == pool.MOST_THREADS == 256


def test_the_count_is_public():
    assert graphkeras.set_num_threads is pool.set_num_threads
    assert graphkeras.get_num_threads is pool.get_num_threads


@pytest.mark.parametrize("generation", [2**31 - 2, 2**32 - 3])
def test_generations_wrap(team, generation: int):
    old = team(3)
    state = (old.address - old._block.ctypes.data) // 8
    probe = Probe()
    probe.job.attach(old)
    # After a launch the team is sealed, so that the generation may be written under the workers.
    probe.job.run()
    halves = old._block[state : state + 1].view(np.uint32)
    halves[1] = generation
    probe.words[:] = 0
    sizes = Counter(probe.job.run() for _ in range(300))
    assert probe.violations == 0
    assert probe.words[0] == sum(10 * size * times for size, times in sizes.items())


def test_a_forked_child_has_threads_of_its_own(run_script: Script):
    output = run_script(
        """
        import os
        from graphkeras.runtime import pool
        from test_pool import Probe
        pool.set_num_threads(2)
        probe = Probe()
        probe.job.attach(pool.current())
        probe.job.run(100)
        child = os.fork()
        if child == 0:
            parent = pool._pool
            own = pool.current()
            probe.job.attach(own)
            total = probe.job.run(500)
            fine = parent is None and probe.violations == 0 and 500 <= total <= 1000
            own.close()
            os._exit(0 if fine else 1)
        probe.job.run(100)
        assert probe.violations == 0
        print("child", os.waitpid(child, 0)[1])
        """
    )
    assert output == "child 0\n"


def test_the_process_ends_while_workers_spin_or_sleep(run_script: Script):
    script = """
        import time
        from graphkeras.runtime import pool
        from test_pool import Probe
        probe = Probe()
        pool.set_num_threads(4)
        probe.job.attach(pool.current())
        probe.job.run(10)
        time.sleep({pause})
        print("end")
        """
    for pause in ("0", "0.05"):
        assert run_script(script.format(pause=pause)) == "end\n"
