"""`graphkeras info`: what the machine offers, and where things are kept.

No CUDA library is loaded to look for a GPU: loading one takes seconds and memory.
"""

from __future__ import annotations

import ctypes.util
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import graphkeras
from graphkeras import config
from graphkeras.utils.summary import readable_size

PACKAGES = ("numpy", "numba", "llvmlite", "networkx", "graphviz", "rich")
FEATURES = (
    "sse4.2",
    "avx",
    "avx2",
    "fma",
    "avx512f",
    "avx512vl",
    "avx512dq",
    "avx512bf16",
    "avx512vnni",
    "amx-tile",
    "neon",
    "sve",
)
"""CPU features that matter for generated code, by LLVM's names."""


def info() -> int:
    """Prints the tables; returns the exit code."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for label, text in _rows():
        table.add_row(f"[bold]{label}[/]", text)
    console.print(table)
    console.print("\n[bold]settings[/] (python -m graphkeras.config tells what they mean)")
    settings = Table(box=None, padding=(0, 2, 0, 0))
    for head in ("name", "value", "environment variable"):
        settings.add_column(head)
    for row in config.SETTINGS:
        settings.add_row(row.name, str(config.setting(row.name)), row.variable)
    console.print(settings)
    return 0


def _rows() -> list[tuple[str, str]]:
    from graphkeras.codegen.cpu.target import target
    from graphkeras.runtime.pool import get_num_threads

    cpu = target()
    return [
        ("graphkeras", graphkeras.__version__),
        ("python", f"{platform.python_version()} on {platform.platform()}"),
        ("packages", ", ".join(f"{name} {_version(name)}" for name in PACKAGES)),
        ("cpu", _cpu_text()),
        ("cpu features", _features()),
        ("target", f"{cpu.name}: vectors of {cpu.lanes} float32 ({cpu.lanes * 32} bits)"),
        ("threads", str(get_num_threads())),
        ("kernel cache", cache_text(Path(config.setting("home")) / "kernels")),
        ("gpu", gpu_text()),
        ("graphviz program", shutil.which("dot") or "no `dot`: pictures are written as .html"),
    ]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _cpu_text() -> str:
    import llvmlite.binding as llvm

    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else name} ({llvm.get_host_cpu_name()})"


def _features() -> str:
    import llvmlite.binding as llvm

    known = llvm.get_host_cpu_features()
    return ", ".join(name for name in FEATURES if known.get(name)) or "none of note"


def cache_text(folder: Path) -> str:
    """Where compiled kernels are kept, how many and how much. Makes no folder."""
    if not folder.is_dir():
        return f"{folder} (empty)"
    files = [path for path in folder.rglob("*") if path.is_file()]
    kernels = sum(path.name.endswith(".o.bin") for path in files)
    size = readable_size(sum(path.stat().st_size for path in files))
    return f"{folder} ({kernels} kernels, {size})"


def gpu_text() -> str:
    """The GPUs that `nvidia-smi` lists; else whether a driver library is there."""
    program = shutil.which("nvidia-smi")
    if program is not None:
        command = [program, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            return f"nvidia-smi failed: {error}"
        return "; ".join(line.strip() for line in done.stdout.splitlines() if line.strip())
    library = ctypes.util.find_library("cuda")
    if library is not None:
        return f"driver library {library}, but no nvidia-smi"
    return "none found"
