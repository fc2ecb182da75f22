"""What a model remembers of `compile`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from graphkeras.errors import StructureError
from graphkeras.metrics import Mean, Metric
from graphkeras.places import warn
from graphkeras.training.compiled_loss import CompiledLoss
from graphkeras.training.compiled_metrics import CompiledMetrics
from graphkeras.training.steps import StepCache
from graphkeras.variables import Variable


@dataclass(eq=False)
class TrainingState:
    """The arguments of `compile`, resolved, and the steps made since."""

    compiled: bool = False
    optimizer: Any = None
    loss: Any = None
    compiled_loss: CompiledLoss | None = None
    compiled_metrics: CompiledMetrics | None = None
    loss_tracker: Mean | None = None
    run_eagerly: bool = False
    autotune: bool | None = None
    """Whether kernels are chosen by timing; None: the setting `autotune`."""
    steps_per_execution: int = 1
    steps: StepCache = field(default_factory=StepCache)
    config: dict[str, Any] = field(default_factory=dict)
    """The arguments of `compile` as they were given."""
    flags: dict[Any, bool] = field(default_factory=dict)
    """`trainable` of each layer at `compile`."""
    _trainable: list[Variable] | None = None

    def trainable_variables(self, model: Any) -> list[Variable]:
        """The variables training changes: fixed by the first step after `compile`, as in Keras."""
        if self._trainable is None:
            self._trainable = list(model.trainable_variables)
            if not self._trainable:
                warn("The model does not have any trainable weights.")
        return self._trainable

    def forget_trainable(self) -> None:
        """Lets the next training step decide anew which variables it changes."""
        self._trainable = None

    def prepare_optimizer(self, model: Any) -> None:
        """Makes the optimizer's variables.

        Raises:
            StructureError: The model was compiled without an optimizer.
        """
        if self.optimizer is None:
            raise StructureError(
                f"model {model.name!r} was compiled with optimizer=None, so it cannot be trained: "
                "call compile() with one, such as optimizer='adam'"
            )
        variables = self.trainable_variables(model)
        if not self.optimizer.built:
            self.optimizer.build(variables)

    def warn_if_trainable_changed(self, model: Any) -> None:
        """Warns where `trainable` was set on a layer since `compile`: it has no effect yet."""
        now = trainable_flags(model)
        if self._trainable is None:
            return
        changed = [layer.name for layer, flag in now.items() if self.flags.get(layer, flag) != flag]
        if changed:
            warn(
                f"`trainable` of {', '.join(map(repr, changed))} has changed since the model was "
                "compiled. It takes effect with the next call of `model.compile(...)`"
            )

    def metrics(self) -> list[Metric]:
        """The metrics made by `compile`, in the order of Keras."""
        own: list[Metric] = [] if self.loss_tracker is None else [self.loss_tracker]
        if self.compiled_metrics is not None:
            own.append(self.compiled_metrics)
        if self.compiled_loss is not None:
            own.extend(self.compiled_loss.metrics)
        return own


def trainable_flags(model: Any) -> dict[Any, bool]:
    """`trainable` of the model and of each of its layers."""
    return {layer: layer.trainable for layer in model._flatten_layers()}
