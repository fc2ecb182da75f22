"""Several callbacks as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphkeras import tree
from graphkeras.callbacks.callback import Callback, Logs
from graphkeras.callbacks.history import History
from graphkeras.callbacks.progbar_logger import ProgbarLogger


def python_logs(logs: Mapping[str, Any] | None) -> Logs:
    """The logs callbacks receive: sorted by key, floats wherever a value can be one."""
    result: Logs = {}
    for key, value in sorted((logs or {}).items()):
        if isinstance(value, dict):
            result.update(python_logs(value))
            continue
        try:
            result[key] = float(value)
        except (TypeError, ValueError):
            result[key] = value
    return result


class CallbackList(Callback):
    """Calls each of its callbacks in order.

    Args:
        callbacks: Callbacks, in any nesting of lists.
        add_history: Whether a `History` is added where there is none.
        add_progbar: Whether a `ProgbarLogger` is added where there is none.
        model: The model handed to the callbacks.
        **params: The `params` handed to the callbacks.
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        super().__init__()
        self.callbacks: list[Callback] = tree.flatten(callbacks) if callbacks else []
        for callback in self.callbacks:
            _check(callback)
        if add_history and not self._has(History):
            self.callbacks.append(History())
        if add_progbar and not self._has(ProgbarLogger):
            self.callbacks.append(ProgbarLogger())
        if model is not None:
            self.set_model(model)
        self.set_params(params)

    def _has(self, kind: type[Callback]) -> bool:
        return any(isinstance(callback, kind) for callback in self.callbacks)

    def set_model(self, model: Any) -> None:
        """Hands the model to every callback; a `History` becomes `model.history`."""
        super().set_model(model)
        for callback in self.callbacks:
            if isinstance(callback, History):
                model.history = callback
            callback.set_model(model)

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Hands the parameters of the call to every callback."""
        super().set_params(params)
        if params:
            for callback in self.callbacks:
                callback.set_params(params)

    def listeners(self, moment: str) -> list[Callable[..., None]]:
        """The methods named `moment` that do something, for loops that skip idle calls.

        The default of `on_train_batch_*` only hands over to `on_batch_*`, so it counts where
        that is overridden.
        """
        found = []
        older = moment.replace("_train_batch_", "_batch_")
        for callback in self.callbacks:
            if not (_is_default(callback, moment) and _is_default(callback, older)):
                found.append(getattr(callback, moment))
        return found

    def _tell(self, moment: str, *position: int, logs: Mapping[str, Any] | None) -> None:
        shared = python_logs(logs)
        for callback in self.callbacks:
            getattr(callback, moment)(*position, logs=shared)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Passed on to every callback."""
        shared = python_logs(logs)
        for callback in self.callbacks:
            callback.on_epoch_begin(epoch, shared)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Passed on to every callback."""
        shared = python_logs(logs)
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, shared)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Passed on to every callback."""
        self._tell("on_batch_begin", batch, logs=logs)

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Passed on to every callback."""
        self._tell("on_batch_end", batch, logs=logs)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Passed on to every callback."""
        self._tell("on_train_batch_begin", batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Passed on to every callback."""
        self._tell("on_train_batch_end", batch, logs=logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Passed on to every callback."""
        self._tell("on_test_batch_begin", batch, logs=logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Passed on to every callback."""
        self._tell("on_test_batch_end", batch, logs=logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Passed on to every callback."""
        self._tell("on_predict_batch_begin", batch, logs=logs)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Passed on to every callback."""
        for callback in self.callbacks:
            callback.on_predict_batch_end(batch, logs=dict(logs or {}))

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Passed on to every callback."""
        self._each("on_train_begin", logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Passed on to every callback."""
        self._each("on_train_end", logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Passed on to every callback."""
        self._each("on_test_begin", logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Passed on to every callback."""
        self._each("on_test_end", logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Passed on to every callback."""
        self._each("on_predict_begin", logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Passed on to every callback."""
        self._each("on_predict_end", logs)

    def _each(self, moment: str, logs: Mapping[str, Any] | None) -> None:
        shared = python_logs(logs)
        for callback in self.callbacks:
            getattr(callback, moment)(shared)


def _is_default(callback: Callback, moment: str) -> bool:
    method = getattr(callback, moment)
    return getattr(method, "__func__", method) is getattr(Callback, moment)


def _check(callback: Any) -> None:
    """Refuses what cannot be a callback; any object with a callback's methods is one."""
    if hasattr(callback, "set_model") and not isinstance(callback, type):
        return
    hint = f"make one: {callback.__name__}()" if isinstance(callback, type) else "pass a Callback"
    raise TypeError(
        f"`callbacks` holds {callback!r} of type {type(callback).__name__}, which is no callback: "
        f"{hint}"
    )
