"""Functional models: `keras.Model(inputs, outputs)`."""

from __future__ import annotations

from typing import Any

from graphkeras.models.model import Model


class Functional(Model):
    """A model made of symbolic inputs and outputs. Made by `keras.Model(inputs, outputs)`.

    Args:
        inputs: symbolic tensor, or a nested structure of them.
        outputs: symbolic tensor, or a nested structure of them.
        name: name; made up by default.
    """

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(inputs, outputs, name=name, **kwargs)
