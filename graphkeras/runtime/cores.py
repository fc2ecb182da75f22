"""How many cores this process may use: its affinity, and the quotas of its control groups.

A container is often given a share of a large machine by a quota, which `os.cpu_count` does not
know: sixteen threads on two cores' worth of time are stopped for most of each period. Quotas are
kept per group, and every group above the process's own counts too::

    /proc/self/cgroup             0::/app/job          version 2
                                  4:cpu,cpuacct:/app   version 1
    /sys/fs/cgroup/app/job/cpu.max                       150000 100000     1.5 cores
    /sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us      400000            4 cores
                                   cpu.cfs_period_us     100000

Inside a container the path may be one of the host, of which only the mounted part exists; a
folder that is not there sets no limit, and the mount itself is always asked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

NO_LIMIT = float("inf")


def available_cores(root: Path = Path("/")) -> int:
    """Cores that threads of this process may keep busy, rounded down; at least 1.

    Args:
        root: Where `proc` and `sys` are found.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else (os.cpu_count() or 1)
    return max(1, int(min(cores, quota(root))))


def quota(root: Path = Path("/")) -> float:
    """Cores that the control groups allow; infinity where none sets a limit."""
    return min((_limit(folder) for folder in _folders(root)), default=NO_LIMIT)


def _folders(root: Path) -> Iterator[Path]:
    """The folders of the process's groups and of those above them."""
    mount = root / "sys" / "fs" / "cgroup"
    try:
        lines = (root / "proc" / "self" / "cgroup").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines or ["0::/"]:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            bases = [mount, mount / "unified"]
        elif "cpu" in controllers.split(","):
            bases = [mount / controllers, mount / "cpu"]
        else:
            continue
        relative = PurePosixPath(path.lstrip("/"))
        for base in bases:
            yield from (base / part for part in (relative, *relative.parents))


def _limit(folder: Path) -> float:
    try:
        allowed, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            allowed = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return NO_LIMIT
    if not (allowed.isdigit() and period.isdigit() and int(period)):
        return NO_LIMIT
    return int(allowed) / int(period)
