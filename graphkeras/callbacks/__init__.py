"""Callbacks with the names of `keras.callbacks`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkeras.lazy import loader

if TYPE_CHECKING:
    from graphkeras.callbacks.callback import Callback
    from graphkeras.callbacks.callback_list import CallbackList
    from graphkeras.callbacks.csv_logger import CSVLogger
    from graphkeras.callbacks.early_stopping import EarlyStopping
    from graphkeras.callbacks.history import History
    from graphkeras.callbacks.lambda_callback import LambdaCallback
    from graphkeras.callbacks.learning_rate import LearningRateScheduler, ReduceLROnPlateau
    from graphkeras.callbacks.progbar_logger import ProgbarLogger
    from graphkeras.callbacks.terminate_on_nan import TerminateOnNaN

_FILES = {
    "callback": "Callback",
    "callback_list": "CallbackList",
    "csv_logger": "CSVLogger",
    "early_stopping": "EarlyStopping",
    "history": "History",
    "lambda_callback": "LambdaCallback",
    "learning_rate": "LearningRateScheduler ReduceLROnPlateau",
    "progbar_logger": "ProgbarLogger",
    "terminate_on_nan": "TerminateOnNaN",
}
__getattr__, __dir__ = loader(__name__, _FILES)

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]
