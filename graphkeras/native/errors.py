"""What goes wrong with native code."""

from __future__ import annotations


class KernelCompileError(RuntimeError):
    """A generated module that does not compile: a defect of graphkeras, not of its user."""


class NativeCodeError(RuntimeError):
    """Object code that cannot be loaded into this process."""
