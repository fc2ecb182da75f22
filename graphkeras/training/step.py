"""The training, test and predict steps as graphs.

A training step is one graph: forward pass, loss, regularizers, gradients, optimizer update,
metrics, moving statistics. `trace_train_step` and its siblings only trace; compiling and running
are in `steps.py`.
"""

from __future__ import annotations

from typing import Any

from graphkeras import ops, tree
from graphkeras.errors import ShapeError
from graphkeras.ir.types import TensorType
from graphkeras.trace import Tensor, Trace, Traced
from graphkeras.training.data import Batch

BATCH_LOSS = "batch_loss"
"""Name of the output that holds the loss of this batch alone."""


def trace_train_step(
    model: Any, x: Any, y: Any = None, sample_weight: Any = None, keep_finite: bool = True
) -> Traced:
    """Traces one training step.

    Args:
        model: A built, compiled model.
        x: Structure of `TensorType`s of the inputs.
        y: Structure of `TensorType`s of the targets, or `None`.
        sample_weight: Structure of `TensorType`s of the weights, or `None`.
        keep_finite: Whether a step whose loss is NaN or infinite leaves all variables but the
            metrics' as they were.

    Returns:
        A graph with the outputs `batch_loss`, then the metrics by their names in the logs.

    Raises:
        ShapeError: The loss is no scalar.
    """
    with Trace("train_step") as t:
        batch = _declare(t, x, y, sample_weight)
        y_pred = model(batch.x, training=True)
        loss = _loss(t, model, batch, y_pred, training=True)
        trainable = model.training_state.trainable_variables(model)
        if trainable:
            optimizer = model.training_state.optimizer
            gradients = t.gradients(optimizer.scale_loss(loss), trainable)
            with t.phase("update"):
                optimizer.apply(gradients, trainable)
                if keep_finite:
                    _keep_finite(t, loss)
        logs = _metrics(t, model, batch, y_pred, loss)
        return t.finish({BATCH_LOSS: loss, **logs})


def trace_test_step(model: Any, x: Any, y: Any = None, sample_weight: Any = None) -> Traced:
    """Traces one evaluation step: forward pass, loss and metrics, nothing else is changed.

    Args:
        model: A built, compiled model.
        x: Structure of `TensorType`s of the inputs.
        y: Structure of `TensorType`s of the targets, or `None`.
        sample_weight: Structure of `TensorType`s of the weights, or `None`.
    """
    with Trace("test_step") as t:
        batch = _declare(t, x, y, sample_weight)
        y_pred = model(batch.x, training=False)
        loss = _loss(t, model, batch, y_pred, training=False)
        logs = _metrics(t, model, batch, y_pred, loss)
        return t.finish({BATCH_LOSS: loss, **logs})


def trace_predict_step(model: Any, x: Any) -> tuple[Traced, Any]:
    """Traces the forward pass.

    Args:
        model: A built model.
        x: Structure of `TensorType`s of the inputs.

    Returns:
        The graph with outputs `output_0`, `output_1`, ...; and the structure of the model's
        outputs, with their numbers for leaves.
    """
    with Trace("predict_step") as t:
        batch = _declare(t, x, None, None)
        y_pred = model(batch.x, training=False)
        flat = [ops.convert_to_tensor(leaf) for leaf in tree.flatten(y_pred)]
        outputs = {f"output_{i}": tensor for i, tensor in enumerate(flat)}
        return t.finish(outputs), tree.pack(y_pred, range(len(flat)))


def build(model: Any, x: Any) -> None:
    """Makes the model's variables by calling it once on inputs of the given types."""
    with Trace("build") as t:
        model(_declare(t, x, None, None).x, training=False)


def _declare(t: Trace, x: Any, y: Any, sample_weight: Any) -> Batch:
    """The graph inputs: all leaves of `x`, then of `y`, then of the weights."""
    parts = []
    for role, part in (("x", x), ("y", y), ("sample_weight", sample_weight)):
        several = len(tree.flatten(part)) > 1
        tensors = [
            None if type is None else t.input(type, f"{role}_{i}" if several else role)
            for i, type in enumerate(tree.leaves(part))
        ]
        parts.append(tree.pack(part, tensors))
    return Batch(*parts)


def declared_types(x: Any, y: Any, sample_weight: Any) -> list[TensorType]:
    """The types of the graph inputs that are data, in order."""
    return [type for type in tree.leaves((x, y, sample_weight)) if type is not None]


def _loss(t: Trace, model: Any, batch: Batch, y_pred: Any, training: bool) -> Tensor:
    with t.phase("loss"):
        loss: Tensor = ops.convert_to_tensor(
            model.compute_loss(
                x=batch.x,
                y=batch.y,
                y_pred=y_pred,
                sample_weight=batch.sample_weight,
                training=training,
            )
        )
    if loss.dims:
        raise ShapeError(
            f"the loss of model {model.name!r} must be one number, its shape is {loss.shape}. Use "
            "a loss with reduction='sum_over_batch_size' or 'sum'"
        )
    return loss


def _metrics(t: Trace, model: Any, batch: Batch, y_pred: Any, loss: Tensor) -> dict[str, Tensor]:
    """Updates all metrics; their values by name, sorted as in the logs."""
    with t.phase("metrics"):
        size = ops.shape(tree.flatten(batch.x)[0])[0]
        model.training_state.loss_tracker.update_state(loss, sample_weight=size)
        logs = model.compute_metrics(batch.x, batch.y, y_pred, batch.sample_weight)
        return {name: ops.convert_to_tensor(logs[name]) for name in sorted(logs)}


def _keep_finite(t: Trace, loss: Tensor) -> None:
    """Each variable assigned so far keeps its old value where the loss is not finite.

    The select joins the update's own kernel, so it costs no pass over memory; and a diverged
    `fit` ends with the last usable weights.
    """
    finite = ops.isfinite(loss)
    for variable, before, after in t.updates():
        t.assign(variable, ops.where(finite, after, before))
