"""The error of the command line."""

from __future__ import annotations

from graphkeras.errors import GraphKerasError


class CommandError(GraphKerasError):
    """Wrong input: the command prints the message and ends with `code`."""

    def __init__(self, message: str, code: int = 2) -> None:
        super().__init__(message)
        self.code = code
