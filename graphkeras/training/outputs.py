"""Which target, loss, metric and weight belongs to which output of a model.

A model returns one tensor, a list, a dict or anything nested. Here outputs are always the flat
list of `tree.flatten(y_pred)` with a name for each; what the user gave per output (in a list,
or in a dict by name) is brought into the same order.
"""

from __future__ import annotations

from typing import Any

from graphkeras import tree
from graphkeras.errors import StructureError, did_you_mean

Names = list[str | None]


def output_names(model: Any, y_pred: Any) -> Names:
    """A name for each output: keys of a dict, else the names a functional model gives.

    Outputs of other models have no names: `None`.
    """
    flat = tree.flatten(y_pred)
    if isinstance(y_pred, dict) and len(y_pred) == len(flat):
        return [str(key) for key in tree.flatten({key: key for key in y_pred})]
    known = getattr(model, "output_names", None)
    if known is not None and len(known) == len(flat):
        return [str(name) for name in known]
    return [None] * len(flat)


def per_output(given: Any, names: Names, argument: str) -> list[Any]:
    """What was given for each output, in order; `None` for an output left out.

    Args:
        given: One thing for all outputs, a list with one entry each, or a dict by output name.
        names: Names of the outputs.
        argument: Name of the argument, for messages.

    Raises:
        StructureError: A list of another length, or a name that is no output.
    """
    if isinstance(given, dict):
        return _by_name(given, names, argument)
    if not isinstance(given, list | tuple):
        return [given] * len(names)
    flat = list(given) if len(given) == len(names) else tree.flatten(given)
    if len(flat) != len(names):
        raise StructureError(
            f"`{argument}` has {len(flat)} entries, but the model has {len(names)} "
            f"output{'s' if len(names) > 1 else ''}{_list(names)}. Pass one entry for each output"
        )
    return flat


def _by_name(given: dict[Any, Any], names: Names, argument: str) -> list[Any]:
    known = [name for name in names if name is not None]
    for key in given:
        if key not in known:
            hint = did_you_mean(key, known)
            raise StructureError(
                f"`{argument}` names the output {key!r}, which the model does not have."
                f"{' ' + hint if hint else ''} Outputs{_list(names)}"
            )
    return [given.get(name) for name in names]


def _list(names: Names) -> str:
    return ": " + ", ".join(repr(name) for name in names) if None not in names else ""


def per_output_data(data: Any, names: Names, wanted: list[bool], role: str) -> list[Any]:
    """The target (or weight) of each output.

    Args:
        data: One array, a list with one for each output, or a dict by name. Outputs without
            loss may be left out.
        names: Names of the outputs.
        wanted: Which outputs have a loss.
        role: What the data are, for messages.

    Raises:
        StructureError: Their number or names do not match.
    """
    if data is None:
        return [None] * len(names)
    if isinstance(data, dict) and len(names) > 1 and set(data) <= set(names):
        return [data.get(name) for name in names]
    flat = tree.flatten(data)
    if len(flat) == len(names):
        return flat
    if len(flat) == sum(wanted):
        remaining = iter(flat)
        return [next(remaining) if want else None for want in wanted]
    raise StructureError(
        f"the model has {len(names)} output{'s' if len(names) > 1 else ''}{_list(names)}, but "
        f"{role} holds {len(flat)} array{'s' if len(flat) > 1 else ''}. Pass one array for each "
        "output, as a list or a dict by output name"
    )
