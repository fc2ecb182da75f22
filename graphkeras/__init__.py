"""graphkeras: a graph compiler with the Keras 3 API.

`import graphkeras as keras` runs an ordinary Keras program: the model is traced into a dataflow
graph, the graph is optimised, and what is left runs as compiled kernels.

Submodules are loaded when they are first used, so that importing the package is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphkeras import (
        activations,
        backend,
        callbacks,
        config,
        constraints,
        datasets,
        initializers,
        layers,
        losses,
        metrics,
        models,
        ops,
        optimizers,
        random,
        regularizers,
        utils,
    )
    from graphkeras.initializers import Initializer
    from graphkeras.layers import Input, InputSpec, Layer
    from graphkeras.losses import Loss
    from graphkeras.metrics import Metric
    from graphkeras.models import Model, Sequential
    from graphkeras.optimizers import Optimizer
    from graphkeras.regularizers import Regularizer
    from graphkeras.runtime.pool import get_num_threads, set_num_threads
    from graphkeras.trace import KerasTensor
    from graphkeras.variables import Variable

__version__ = "0.1.0"

_MODULES = (
    "activations",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "datasets",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "random",
    "regularizers",
    "utils",
)
_NAMES = {
    "Initializer": "graphkeras.initializers",
    "Input": "graphkeras.layers.input_layer",
    "InputSpec": "graphkeras.layers",
    "KerasTensor": "graphkeras.trace",
    "Layer": "graphkeras.layers",
    "Loss": "graphkeras.losses",
    "Metric": "graphkeras.metrics",
    "Model": "graphkeras.models",
    "Optimizer": "graphkeras.optimizers",
    "Regularizer": "graphkeras.regularizers",
    "Sequential": "graphkeras.models",
    "Variable": "graphkeras.variables",
    "get_num_threads": "graphkeras.runtime.pool",
    "set_num_threads": "graphkeras.runtime.pool",
}

__all__ = [
    "Initializer",
    "Input",
    "InputSpec",
    "KerasTensor",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Optimizer",
    "Regularizer",
    "Sequential",
    "Variable",
    "__version__",
    "activations",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "datasets",
    "get_num_threads",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "random",
    "regularizers",
    "set_num_threads",
    "utils",
    "version",
]


def version() -> str:
    """The version of graphkeras."""
    return __version__


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"graphkeras.{name}")
    if name in _NAMES:
        value = getattr(importlib.import_module(_NAMES[name]), name)
        globals()[name] = value
        return value
    from graphkeras.errors import did_you_mean

    raise AttributeError(
        f"module 'graphkeras' has no attribute {name!r}. {did_you_mean(name, __all__)}".rstrip()
    )


def __dir__() -> list[str]:
    return sorted(__all__)
