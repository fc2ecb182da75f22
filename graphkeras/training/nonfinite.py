"""Finds out why a loss became NaN or infinite.

The training step leaves the weights as they were when its loss is not finite, so the same
forward pass can be run again, node by node, up to the first result that is not finite.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkeras.errors import NonFiniteLossError
from graphkeras.ir.graph import Node
from graphkeras.ir.op import Array
from graphkeras.training.inputs import fit

if TYPE_CHECKING:
    from graphkeras.training.steps import Step


def non_finite_error(
    model: Any, step: Step, data: Sequence[Array], loss: float
) -> NonFiniteLossError:
    """The error for a training step whose loss is not finite.

    Args:
        model: The model.
        step: The step.
        data: The arrays of the batch.
        loss: The loss.
    """
    cause, advice = _cause(model, step, data)
    return NonFiniteLossError(
        f"the loss became {loss} during training\n"
        f"  cause: {cause}\n"
        f"  to fix it: {advice}\n"
        "  The model keeps the weights it had before this batch. To train on regardless, set "
        "graphkeras.config.set('nan_loss', 'warn') or 'ignore', or pass the callback "
        "TerminateOnNaN() to stop without an error"
    )


def _cause(model: Any, step: Step, data: Sequence[Array]) -> tuple[str, str]:
    names = [value.name for value in step.traced.graph.inputs]
    for name, array in zip(names, data, strict=False):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0][0])
            return (
                f"{name} holds NaN or infinity (first in sample {row} of the batch)",
                "clean the data, for example with np.nan_to_num or by dropping these samples",
            )
    for variable in model.weights:
        if variable.buffer.dtype.kind == "f" and not np.isfinite(variable.buffer).all():
            return (
                f"the weights {variable.path!r} are not finite: an earlier update was too large, "
                "or the data of an earlier batch were not finite",
                "look for NaN and infinity in the data with np.isfinite(x).all(); else lower the "
                "learning rate, or pass clipnorm=1.0 to the optimizer",
            )
    node = _first_non_finite(step, data)
    if node is None:
        return (
            "no single operation could be found: the values are at the limit of their dtype",
            "lower the learning rate, or scale the inputs to about -1 to 1",
        )
    layer = f"layer {node.loc.layer!r}" if node.loc.layer else f"the {node.loc.phase}"
    place = f" ({node.loc.file}:{node.loc.line})" if node.loc.file else ""
    return (
        f"{layer} is the first whose result is not finite: op {node.op!r}{place}",
        "lower the learning rate, scale the inputs to about -1 to 1, and check this layer for "
        "divisions, logarithms and exponentials that overflow",
    )


def _first_non_finite(step: Step, data: Sequence[Array]) -> Node | None:
    """The first node of the forward pass or the loss whose result is not finite."""
    from graphkeras.ir.evaluate import evaluate_nodes

    arrays = [fit(array, type) for array, type in zip(data, step.types, strict=True)]
    with np.errstate(all="ignore"):
        values = evaluate_nodes(step.traced.graph, [*arrays, *step.state])
    for node in step.traced.graph.nodes:
        if node.loc.phase in ("forward", "loss") and not all(
            np.isfinite(values[value]).all() for value in node.results if value.type.is_float
        ):
            return node
    return None
