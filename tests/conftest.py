"""Settings every test runs with."""

from __future__ import annotations

import os

# The oracle: the real Keras on JAX, on the CPU, without taking all memory or threads.
os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# The oracle runs each program once or twice: what counts is how fast XLA compiles.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)
