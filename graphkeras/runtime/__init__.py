"""The runtime: compiled kernels on disk, threads, memory, and programs that can be called."""

from graphkeras.runtime.executable import Executable
from graphkeras.runtime.pool import get_num_threads, set_num_threads
from graphkeras.runtime.program import (
    Argument,
    Buffer,
    KernelSource,
    Launch,
    Layout,
    Place,
    Program,
)

__all__ = [
    "Argument",
    "Buffer",
    "Executable",
    "KernelSource",
    "Launch",
    "Layout",
    "Place",
    "Program",
    "get_num_threads",
    "set_num_threads",
]
