"""Settings every test runs with."""

from __future__ import annotations

import os

# The oracle: the real Keras on JAX, on the CPU, without taking all memory or threads.
os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
