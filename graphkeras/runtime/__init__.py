"""The runtime: compiled kernels on disk, threads, memory, and programs that can be called."""

from graphkeras.runtime.executable import Executable
from graphkeras.runtime.pool import get_num_threads, set_num_threads

__all__ = ["Executable", "get_num_threads", "set_num_threads"]
