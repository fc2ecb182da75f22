"""The loss a model was compiled with: one loss function an output, weighted and summed."""

from __future__ import annotations

from typing import Any

from graphkeras import losses, ops, tree
from graphkeras.config import floatx
from graphkeras.errors import StructureError
from graphkeras.frozen import frozen
from graphkeras.metrics import Mean
from graphkeras.metrics.resolve import get_loss
from graphkeras.training.outputs import Names, output_names, per_output, per_output_data

_AUTOMATIC = ("crossentropy", "ce")
"""Names that mean binary, sparse or categorical crossentropy, by the shapes."""


@frozen
class OutputLoss:
    """The loss of one output."""

    position: int
    """Place of the output among the flat outputs."""
    name: str
    function: losses.Loss
    weight: Any
    """Factor in the total loss, or `None`."""
    tracker: Mean | None
    """Mean of this loss over the epoch, where there are several."""


class CompiledLoss:
    """Losses of all outputs; settled when the first outputs are seen.

    Args:
        loss: Name, function or `Loss`; a list of these with one for each output, or a dict by
            output name. `None` stands for an output without loss.
        loss_weights: Numbers, in the same way.

    Raises:
        StructureError: `loss_weights` is neither a number nor a list or dict.
        UnknownNameError: A loss of that name does not exist.
    """

    def __init__(self, loss: Any, loss_weights: Any = None) -> None:
        if loss_weights is not None and not isinstance(loss_weights, list | tuple | dict | float):
            raise StructureError(
                "`loss_weights` must be a float (one output), or a list or dict with one for each "
                f"output, received {loss_weights!r} of type {type(loss_weights).__name__}"
            )
        for leaf in tree.leaves(loss):
            if not isinstance(leaf, str) or leaf.lower() not in _AUTOMATIC:
                losses.get(leaf)
        self._loss = loss
        self._loss_weights = loss_weights
        self.losses: list[OutputLoss] | None = None
        self.wanted: list[bool] = []
        """Which outputs have a loss; known once built."""

    @property
    def metrics(self) -> list[Mean]:
        """The trackers of the outputs' losses."""
        return [loss.tracker for loss in self.losses or () if loss.tracker is not None]

    def build(self, model: Any, y: Any, y_pred: Any) -> None:
        """Finds the loss of each output, and makes the trackers."""
        names = output_names(model, y_pred)
        given = per_output(self._loss, names, "loss")
        weights = self._weights(names)
        self.wanted = [loss is not None for loss in given]
        targets = per_output_data(y, names, self.wanted, "y")
        found = []
        for position, output in enumerate(tree.flatten(y_pred)):
            if given[position] is None:
                continue
            target = _present(targets[position], names[position] or position)
            function = get_loss(given[position], target, output)
            assert function is not None
            found.append((position, names[position] or function.name, function))
        several = len(found) > 1
        self.losses = [
            OutputLoss(
                position,
                name,
                function,
                weights[position],
                Mean(name=f"{name}_loss") if several else None,
            )
            for position, name, function in found
        ]

    def _weights(self, names: Names) -> list[Any]:
        if self._loss_weights is None:
            return [None] * len(names)
        return per_output(self._loss_weights, names, "loss_weights")

    def __call__(self, model: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The total loss as a scalar, or `None` where no output has one.

        Args:
            model: The model, for the names of its outputs.
            y: Targets.
            y_pred: Outputs.
            sample_weight: One tensor, or one for each output.
        """
        if self.losses is None:
            self.build(model, y, y_pred)
        names = output_names(model, y_pred)
        outputs = tree.flatten(y_pred)
        targets = per_output_data(y, names, self.wanted, "y")
        if tree.is_nested(sample_weight):
            weights = per_output_data(sample_weight, names, self.wanted, "sample_weight")
        else:
            weights = [sample_weight] * len(outputs)
        total = None
        for loss in self.losses or ():
            target = _present(targets[loss.position], loss.name)
            output = outputs[loss.position]
            value = ops.cast(loss.function(target, output, weights[loss.position]), floatx())
            if loss.tracker is not None:
                loss.tracker.update_state(value, sample_weight=ops.shape(output)[0])
            if loss.weight is not None:
                value = value * loss.weight
            total = value if total is None else total + value
        return total


def _present(target: Any, output: Any) -> Any:
    if target is None:
        raise StructureError(
            f"output {output!r} has a loss, but no targets: pass `y`, or compile with `loss=None` "
            "for this output"
        )
    return target
