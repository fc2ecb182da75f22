"""How many cores the process may use, on machines made of files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from runtime_scripts import Script

from graphkeras.runtime.cores import NO_LIMIT, available_cores, quota

V1 = "cpu.cfs_quota_us", "cpu.cfs_period_us"


def machine(root: Path, cgroup: str | None, **limits: str) -> Path:
    """A root with the process's groups, and limits as `folder="quota period"`."""
    if cgroup is not None:
        (root / "proc" / "self").mkdir(parents=True)
        (root / "proc" / "self" / "cgroup").write_text(cgroup)
    for folder, text in limits.items():
        place = root / "sys" / "fs" / "cgroup" / folder
        place.mkdir(parents=True, exist_ok=True)
        (place / "cpu.max").write_text(text + "\n")
    return root


def v1_limit(root: Path, folder: str, text: str) -> None:
    place = root / "sys" / "fs" / "cgroup" / folder
    place.mkdir(parents=True, exist_ok=True)
    for name, number in zip(V1, text.split(), strict=True):
        (place / name).write_text(number + "\n")


@pytest.mark.parametrize(
    ("limits", "cores"),
    [
        ({"": "150000 100000"}, 1.5),
        ({"": "max 100000"}, NO_LIMIT),
        ({"app/job": "250000 50000"}, 5.0),
        # The group above has less.
        ({"app/job": "800000 100000", "app": "300000 100000"}, 3.0),
        ({"app/job": "max 100000", "app": "300000 100000"}, 3.0),
        # Another group's limit is not ours.
        ({"other": "100000 100000"}, NO_LIMIT),
        ({"": "nonsense"}, NO_LIMIT),
        ({"": "100000 0"}, NO_LIMIT),
        ({}, NO_LIMIT),
    ],
)
def test_quotas_of_version_2(limits: dict[str, str], cores: float, tmp_path: Path) -> None:
    assert quota(machine(tmp_path, "0::/app/job\n", **limits)) == cores


@pytest.mark.parametrize("folder", ["cpu,cpuacct", "cpu"])
@pytest.mark.parametrize(
    ("group", "text", "cores"),
    [
        ("app", "400000 100000", 4.0),
        ("app", "-1 100000", NO_LIMIT),
        ("", "50000 100000", 0.5),
        ("other", "50000 100000", NO_LIMIT),
    ],
)
def test_quotas_of_version_1(
    folder: str, group: str, text: str, cores: float, tmp_path: Path
) -> None:
    root = machine(tmp_path, f"5:memory:/app\n4:{folder}:/app\n1:name=systemd:/\n0::/\n")
    v1_limit(root, f"{folder}/{group}", text)
    assert quota(root) == cores


def test_both_versions_at_once_and_the_path_of_a_host(tmp_path: Path) -> None:
    root = machine(tmp_path, "4:cpu:/docker/0123\n0::/docker/0123\n", unified="600000 100000")
    v1_limit(root, "cpu", "200000 100000")
    assert quota(root) == 2.0


def test_without_control_groups(tmp_path: Path) -> None:
    assert quota(tmp_path) == NO_LIMIT
    assert quota(machine(tmp_path, None, **{"": "700000 100000"})) == 7.0


@pytest.mark.parametrize(
    ("affinity", "limit", "cores"),
    [(8, "max 100000", 8), (8, "350000 100000", 3), (2, "350000 100000", 2), (4, "100 100000", 1)],
)
def test_the_smaller_of_affinity_and_quota_counts(
    affinity: int, limit: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(affinity)), raising=False)
    assert available_cores(machine(tmp_path, "0::/\n", **{"": limit})) == cores


def test_a_system_without_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert available_cores(tmp_path) == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores(tmp_path) == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs affinity")
def test_a_process_bound_to_one_core_runs_one_thread(run_script: Script) -> None:
    script = """
        import os
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        import graphkeras
        from graphkeras.runtime import pool
        print(graphkeras.get_num_threads(), pool.current().threads)
        """
    assert run_script(script, GRAPHKERAS_NUM_THREADS="0") == "1 1\n"
    assert run_script(script, GRAPHKERAS_NUM_THREADS="3") == "3 3\n"
