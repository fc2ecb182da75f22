"""Utilities with the names of `keras.utils`."""

from graphkeras.backend import clear_session
from graphkeras.config import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)
from graphkeras.utils.compiled_steps import compiled_steps
from graphkeras.utils.numerical import normalize, to_categorical
from graphkeras.utils.plot_model import model_to_dot, plot_model
from graphkeras.utils.progbar import Progbar
from graphkeras.utils.py_dataset import PyDataset
from graphkeras.utils.rng import set_random_seed
from graphkeras.utils.sequences import pad_sequences

Sequence = PyDataset
"""The older name of `PyDataset`."""

__all__ = [
    "Progbar",
    "PyDataset",
    "Sequence",
    "clear_session",
    "compiled_steps",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "is_interactive_logging_enabled",
    "model_to_dot",
    "normalize",
    "pad_sequences",
    "plot_model",
    "set_random_seed",
    "to_categorical",
]
