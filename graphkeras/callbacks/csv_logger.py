"""Writes the metrics of every epoch into a CSV file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from graphkeras.callbacks.callback import Callback, Logs

if TYPE_CHECKING:
    import csv


class CSVLogger(Callback):
    """Streams the logs of every epoch to a file.

    Args:
        filename: Path of the file.
        separator: Character between the columns.
        append: Whether an existing file is continued instead of replaced.
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        super().__init__()
        self.filename = os.fspath(filename)
        self.sep = separator
        self.append = append
        self.keys: list[str] = []
        self._file: IO[str] | None = None
        self._writer: csv.DictWriter[str] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Opens the file."""
        self._close()
        self._file = open(self.filename, "a" if self.append else "w", newline="")  # noqa: SIM115

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Writes one row; the first epoch fixes the columns."""
        logs = logs or {}
        if self._file is None:
            return
        if self._writer is None:
            self._writer = self._start(self._file, logs)
        row = {"epoch": epoch, **{key: _cell(logs.get(key, "NA")) for key in self.keys}}
        self._writer.writerow(row)
        self._file.flush()

    def _start(self, file: IO[str], logs: Logs) -> csv.DictWriter[str]:
        import csv

        self.keys = sorted(logs)
        if not any(key.startswith("val_") for key in self.keys):
            self.keys += [f"val_{key}" for key in self.keys]
        writer = csv.DictWriter(file, ["epoch", *self.keys], delimiter=self.sep)
        if os.path.getsize(self.filename) == 0:
            writer.writeheader()
        return writer

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Closes the file."""
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None
        self._writer = None


def _cell(value: Any) -> Any:
    if isinstance(value, str) or not isinstance(value, Iterable):
        return value
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return value
    return f'"[{", ".join(map(str, value))}]"'
