"""Settings every test runs with."""

from __future__ import annotations

import os

import pytest

# The oracle: the real Keras on JAX, on the CPU, without taking all memory or threads.
os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# The oracle runs each program once or twice: what counts is how fast XLA compiles.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips tests that run instructions which this machine does not have."""
    from graphkeras.native.target import LEVELS, levels

    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            cpu = item.callspec.params.get("cpu")
            if cpu in LEVELS and cpu not in levels():
                item.add_marker(pytest.mark.skip(reason=f"this machine runs no {cpu} code"))
