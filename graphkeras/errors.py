"""Exceptions a user of the Keras API meets.

Each is also the class Keras raises for that mistake, so `except ValueError` keeps working.
A message says what was wrong, where, what was expected, what was received, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable


class GraphKerasError(Exception):
    """Base of every error graphkeras raises on purpose."""


class ConfigError(GraphKerasError, ValueError):
    """A setting that does not exist, or a value it does not take."""


class UnknownNameError(GraphKerasError, ValueError):
    """A name (optimizer, loss, metric, activation, ...) that does not exist."""


class NotCompiledError(GraphKerasError, ValueError):
    """Training or evaluating a model before `compile`."""


class DataError(GraphKerasError, ValueError):
    """Data that cannot be used: empty, of unequal lengths, or given in the wrong place."""


class ShapeError(GraphKerasError, ValueError):
    """A shape or rank that does not fit a layer, a loss or a metric."""


class DataTypeError(GraphKerasError, ValueError, TypeError):
    """Data whose dtype is no number, such as strings or Python objects."""


class LabelRangeError(GraphKerasError, ValueError, IndexError):
    """Class numbers that are negative or beyond the units of the output they belong to."""


class NoValueError(GraphKerasError, TypeError, ValueError):
    """A tensor of a model that is only being built or traced, used as if it had a value."""


class StructureError(GraphKerasError, ValueError):
    """Targets, losses or metrics whose structure does not match the model's outputs."""


class NonFiniteLossError(GraphKerasError, RuntimeError):
    """The loss became NaN or infinite during `fit`."""


def did_you_mean(name: object, choices: Iterable[str]) -> str:
    """A hint for a misspelt name.

    Args:
        name: What the user wrote.
        choices: The names that exist.

    Returns:
        `"Did you mean 'adam'?"`, or the empty string where nothing is similar.
    """
    # Only a mistake needs it: importing the package does not.
    import difflib

    by_lower = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.5)
    return f"Did you mean {by_lower[close[0]]!r}?" if close else ""


def unknown_name(kind: str, name: object, choices: Iterable[str]) -> UnknownNameError:
    """The error for a name that does not exist, to be raised by the caller.

    Args:
        kind: What is named: `"optimizer"`, `"loss"`, ...
        name: What the user wrote.
        choices: The names that exist.
    """
    known = sorted(choices)
    hint = did_you_mean(name, known)
    return UnknownNameError(
        f"Unknown {kind} {name!r}."
        + (f" {hint}" if hint else "")
        + f"\n  known: {', '.join(known)}"
    )
