"""Warnings name the user's line, however deep in the package they arise."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphkeras import callbacks, layers
from graphkeras.places import user_place


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Conv2D(2, 3, input_shape=(8, 8, 1)),
        lambda: layers.Dense(2, input_dim=3),
        lambda: layers.Embedding(3, 2, input_length=4),
        lambda: callbacks.ReduceLROnPlateau(mode="higher"),
        lambda: layers.Dense(2)(layers.Embedding(3, 2, mask_zero=True)(np.ones((1, 2)))),
    ],
)
def test_warnings_name_the_users_line(make: Callable[[], Any]) -> None:
    with warnings.catch_warnings(record=True) as records:
        warnings.simplefilter("always")
        make()
    assert {record.filename for record in records} <= {__file__}
    lines = {record.lineno for record in records}
    assert lines <= {make.__code__.co_firstlineno}


def test_the_line_is_that_of_the_call() -> None:
    line = sys._getframe().f_lineno + 2
    with pytest.warns(UserWarning, match="input_shape") as records:
        layers.Dense(2, input_shape=(3,))
    assert records[0].lineno == line


def test_the_command_is_no_place_of_the_user() -> None:
    found: dict[str, Any] = {"user_place": user_place}
    exec(compile("place = user_place()", "/usr/bin/graphkeras", "exec"), found)
    assert found["place"] is not None
    assert found["place"][0] == __file__
