"""Callbacks with the names of `keras.callbacks`."""

from graphkeras.callbacks.callback import Callback
from graphkeras.callbacks.callback_list import CallbackList
from graphkeras.callbacks.csv_logger import CSVLogger
from graphkeras.callbacks.early_stopping import EarlyStopping
from graphkeras.callbacks.history import History
from graphkeras.callbacks.lambda_callback import LambdaCallback
from graphkeras.callbacks.learning_rate import LearningRateScheduler, ReduceLROnPlateau
from graphkeras.callbacks.progbar_logger import ProgbarLogger
from graphkeras.callbacks.terminate_on_nan import TerminateOnNaN

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
