"""The machine and the versions that figures belong to."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path

from benchmarks.team import ROOT

PACKAGES = (
    "numpy",
    "numba",
    "llvmlite",
    "keras",
    "tensorflow-cpu",
    "tensorflow",
    "jax",
    "torch",
    "onnxruntime",
    "openvino",
)

_VERSIONS = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def describe(own: str, peers: str) -> dict[str, str]:
    """Processor, cores, system, Python, and the version of each package, peers' first."""
    versions = {**_versions(own), **_versions(peers)}
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **versions,
    }


def _versions(python: str) -> dict[str, str]:
    command = [python, "-c", _VERSIONS, *PACKAGES]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _processor() -> str:
    """Model and vector instructions, by /proc/cpuinfo."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    flags = fields.get("flags", "").split()
    vectors = [label for flag, label in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags]
    model = fields.get("model name", platform.machine())
    return f"{model} with {vectors[0]}" if vectors else model
