"""Ends training when the loss is no finite number."""

from __future__ import annotations

import math

from graphkeras.callbacks.callback import Callback, Logs
from graphkeras.errors import NonFiniteLossError
from graphkeras.utils.messages import print_message


class TerminateOnNaN(Callback):
    """Stops `fit` at the first NaN or infinite loss.

    With this callback `fit` itself does not raise at such a loss, whatever the setting
    `nan_loss` says.

    Args:
        raise_error: Whether to raise `NonFiniteLossError` (a `RuntimeError`) instead of
            stopping; the other callbacks' `on_train_end` is then not called.
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Looks at the loss."""
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise NonFiniteLossError(
                f"TerminateOnNaN: the loss is {loss} at batch {batch}; training ends here"
            )
        print_message(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True
