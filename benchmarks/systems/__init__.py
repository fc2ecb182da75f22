"""The systems that are timed: which file runs them, in which interpreter, with what settings."""

from __future__ import annotations

from dataclasses import dataclass, field

OURS = "graphkeras"
ROOFLINE = "roofline"
"""No library: what the machine allows."""
ONE_THREAD, ONE_THREAD_ROOFLINE = "graphkeras-1", "roofline-1"
"""The same on one thread."""


@dataclass(frozen=True)
class System:
    """One column.

    Attributes:
        module: File of this folder; it has `prepare(work, **options)`.
        title: Head of the column.
        options: Arguments of `prepare`.
        environment: Variables of its process.
        needs: Packages without which it is left out.
        peer: Whether it runs in the peers' interpreter.
    """

    module: str
    title: str
    options: dict[str, object] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    peer: bool = True


def _keras(backend: str, title: str, jit: bool | None = None) -> System:
    options: dict[str, object] = {"jit_compile": jit}
    return System("keras_api", title, options, {"KERAS_BACKEND": backend}, ("keras", backend))


_ONE = {"GRAPHKERAS_NUM_THREADS": "1"}
SYSTEMS = {
    OURS: System("graphkeras_api", "graphkeras", peer=False),
    ONE_THREAD: System("graphkeras_api", "graphkeras, 1 thread", environment=_ONE, peer=False),
    ROOFLINE: System("limits", "roofline", peer=False),
    ONE_THREAD_ROOFLINE: System("limits", "roofline, 1 thread", environment=_ONE, peer=False),
    "numpy": System("numpy_api", "NumPy"),
    "torch": System("torch_api", "torch", needs=("torch",)),
    "keras-tensorflow": _keras("tensorflow", "Keras + TensorFlow", jit=False),
    "keras-tensorflow-jit": _keras("tensorflow", "Keras + TensorFlow, jit_compile", jit=True),
    "keras-jax": _keras("jax", "Keras + JAX"),
    "keras-torch": _keras("torch", "Keras + torch"),
    "onnxruntime": System(
        "onnx_api", "onnxruntime", {"engine": "onnxruntime"}, needs=("torch", "onnx", "onnxruntime")
    ),
    "openvino": System(
        "onnx_api", "OpenVINO", {"engine": "openvino"}, needs=("torch", "onnx", "openvino")
    ),
}
