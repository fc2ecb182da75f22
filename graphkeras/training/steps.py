"""Compiled steps of a model, made on demand and kept.

A step is made once for each kind of data (structure, dtypes, sizes other than the batch's) and
then serves every batch size. Variables are inputs of its executable: their buffers never move,
so a call passes the same arrays and the new values appear in place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkeras import config, tree
from graphkeras.changes import Change, mark
from graphkeras.errors import NonFiniteLossError
from graphkeras.frozen import frozen
from graphkeras.ir.evaluate import bind_sizes
from graphkeras.ir.op import Array
from graphkeras.ir.types import TensorType
from graphkeras.ops._common import UnknownSizeError
from graphkeras.trace import Traced
from graphkeras.training import step as tracing
from graphkeras.training.data import Batch
from graphkeras.training.executables import Executable, executable_for
from graphkeras.training.inputs import batch_types, fit, order_inputs
from graphkeras.training.nonfinite import non_finite_error
from graphkeras.training.targets import TargetCheck, target_checks

if TYPE_CHECKING:
    from graphkeras.runtime.batches import Feeder, Rows

CODE_SETTINGS = ("compiler", "cpu", "winograd")
"""Settings that decide which code a step becomes."""

Layout = list[tuple[tuple[int, ...], np.dtype[Any]] | None]
"""Sizes (without the batch's) and dtype of each array of a batch."""


@frozen
class Step:
    """One step, compiled when it is first run, and once more if it is also run on gathered rows."""

    traced: Traced
    compile: Callable[[Sequence[TensorType]], Executable]
    """`executable_for`, with all that it needs but the types of samples."""
    eagerly: bool
    """Whether each node runs by itself."""
    types: list[TensorType]
    """Types of the inputs that are data."""
    state: list[Array]
    """Buffers of the variables, in input order."""
    updated: list[Change]
    """The variables it writes to."""
    checks: list[TargetCheck]
    """What must hold for the numbers in `y`."""
    structure: Any = None
    """Structure of the outputs of a predict step, with their positions for leaves."""
    made: dict[Sequence[TensorType], Executable] = field(default_factory=dict)
    """What was compiled so far, oldest first, by the types of samples."""

    @property
    def executable(self) -> Executable:
        """The step that takes batches."""
        return self._compiled(())

    def prepare(self, samples: Sequence[TensorType]) -> None:
        """Compiles a form of the step, if that was not done before: see `made`."""
        self._compiled(samples)

    def _compiled(self, samples: Sequence[TensorType]) -> Executable:
        found = self.made.get(samples)
        if found is None:
            found = self.made[samples] = self.compile(samples)
        return found

    def run(self, data: list[Array]) -> tuple[Array, ...]:
        """Runs the step on the arrays of a batch; returns the outputs that are no variables."""
        fitted = [
            array
            if array.dtype == dtype and array.ndim == rank and array.flags.c_contiguous
            else fit(array, type)
            for array, (dtype, rank, type) in zip(data, self._expected, strict=True)
        ]
        try:
            return self.executable(fitted, self.state)
        finally:
            mark(self.updated)

    def run_batches(
        self, feeder: Feeder, rows: Rows, heads: Sequence[Array] | None, watch: bool
    ) -> tuple[tuple[Array, ...], int]:
        """Runs the step over many batches: `run_batches` of its executable."""
        executable: Any = self._compiled(
            feeder.types if feeder.gathers(rows.order is not None) else ()
        )
        try:
            outputs, done = executable.run_batches(feeder, rows, self.state, heads, watch)
        finally:
            mark(self.updated)
        return tuple(outputs), done

    @cached_property
    def _expected(self) -> list[tuple[np.dtype[Any], int, TensorType]]:
        return [(np.dtype(type.dtype), type.rank, type) for type in self.types]

    def packed(self, outputs: Sequence[Array]) -> Any:
        """The outputs of a predict step in the structure the model returns them in."""
        if type(self.structure) is int:
            return outputs[self.structure]
        return tree.map_structure(lambda position: outputs[position], self.structure)


class StepCache:
    """The steps of one compiled model."""

    def __init__(self) -> None:
        self._steps: dict[Any, Step] = {}
        self._weights: list[int] = []
        self._runners: dict[Any, tuple[list[Any], int, Runner]] = {}
        self._sized = False
        """Whether a layer needs sizes the model leaves open: one step for each size of the data."""

    def __getstate__(self) -> dict[str, Any]:
        """A copied or pickled model compiles its steps anew: kernels belong to a process."""
        return {**vars(StepCache()), "_sized": self._sized}

    def get(self, model: Any, mode: str, batch: Batch) -> Step:
        """The step for batches like this one.

        Args:
            model: The model; it is built if it is not.
            mode: `"train"`, `"test"` or `"predict"`.
            batch: A batch, with `x` in the order the model takes.

        Raises:
            ShapeError: The data do not fit the model or the loss.
            StructureError: The targets do not match the outputs.
        """
        if mode == "predict":
            batch = Batch(batch.x)
        try:
            return self._find(model, mode, _types(model, batch, self._sized), batch)
        except UnknownSizeError:
            if self._sized:
                raise
            self._sized = True
            return self._find(model, mode, _types(model, batch, self._sized), batch)

    def _find(self, model: Any, mode: str, types: Batch, batch: Batch) -> Step:
        self._follow(model)
        keep_finite = config.setting("nan_loss") == "raise"
        # A schedule set on the optimizer is part of the graph; a number is a variable's value.
        rate = getattr(model.optimizer, "_learning_rate", None) if mode == "train" else None
        code = tuple(map(config.setting, CODE_SETTINGS))
        key = (mode, repr(types), keep_finite, config.floatx(), rate, code)
        if key not in self._steps:
            self._steps[key] = _make(model, mode, types, keep_finite, batch)
        return self._steps[key]

    def runner(self, model: Any, mode: str, stops_at_nan: bool = False) -> Runner:
        """The runner of single batches: a new one where the model has other layers, or settings.

        Looking at the layers of the model itself takes some microseconds; a new runner looks
        at everything inside them, which takes longer than the step of a small model. As in
        Keras, a layer changed on the inside after the first step counts from the next `compile`
        or `fit`.
        """
        # What a predict step was made with does not change; the others read the settings too.
        key: Any = mode
        if mode != "predict":
            rate = getattr(model.optimizer, "_learning_rate", None)
            key = (mode, stops_at_nan, config.floatx(), rate)
        layers, changes = list(model._layers), config.changes()
        known, then, runner = self._runners.get(key, (None, 0, None))
        if runner is None or known != layers or then != changes:
            runner = Runner(model, mode, stops_at_nan=stops_at_nan)
            self._runners[key] = (layers, changes, runner)
        return runner

    def made(self) -> list[Step]:
        """The steps made so far, oldest first."""
        return list(self._steps.values())

    def _follow(self, model: Any) -> None:
        """Forgets all steps where layers were added or removed since they were made."""
        weights = [id(variable) for variable in model.weights]
        if weights != self._weights:
            self._steps.clear()
            self._runners.clear()
            self._weights = weights
            model.training_state.forget_trainable()


def all_built(model: Any) -> bool:
    """Whether the variables of the model and of all its layers exist."""
    return all(layer.built for layer in model._flatten_layers())


def _types(model: Any, batch: Batch, sized: bool) -> Batch:
    types = batch_types(model, batch, sized)
    if not all_built(model):
        tracing.build(model, types.x)
        # A Sequential model has symbolic inputs only from here on.
        types = batch_types(model, batch, sized)
    return types


def _make(model: Any, mode: str, types: Batch, keep_finite: bool, batch: Batch) -> Step:
    structure = None
    checks: list[TargetCheck] = []
    if mode == "predict":
        traced, structure = tracing.trace_predict_step(model, types.x)
    else:
        checks = target_checks(model, types)
        if mode == "train":
            model.training_state.prepare_optimizer(model)
            traced = tracing.trace_train_step(model, *types, keep_finite=keep_finite)
        else:
            traced = tracing.trace_test_step(model, *types)
    state, declared = model.training_state, tracing.declared_types(*types)
    sizes = _sizes(declared, list(tree.leaves(batch)))
    return Step(
        traced,
        partial(
            executable_for,
            traced,
            trains=mode == "train",
            eagerly=state.run_eagerly,
            autotune=state.autotune,
            sizes=sizes,
        ),
        state.run_eagerly,
        declared,
        [variable.buffer for variable in traced.variables],
        [variable.change for variable in traced.updated],
        checks,
        structure,
    )


def _sizes(types: Sequence[TensorType], batch: Sequence[Array | None]) -> dict[str, int]:
    """The run-time sizes of a batch."""
    arrays = [array for array in batch if array is not None]
    return bind_sizes(types, [fit(a, type) for a, type in zip(arrays, types, strict=True)])


class Runner:
    """Runs the step of one mode over many batches, with little to do for each.

    Args:
        model: The model.
        mode: `"train"`, `"test"` or `"predict"`.
        checked: Whether the numbers in `y` were checked before, so that batches need not be.
        stops_at_nan: Whether a loss that is not finite raises.
    """

    def __init__(
        self,
        model: Any,
        mode: str,
        checked: bool = False,
        stops_at_nan: bool = False,
    ) -> None:
        self._model = model
        self._mode = mode
        self._checked = checked
        self.stops_at_nan = stops_at_nan
        self._known: tuple[Layout, Step] | None = None
        # One attribute: predict_on_batch may run in several threads.

    def __call__(self, batch: Batch) -> tuple[Array, ...]:
        """Runs one batch; returns the step's outputs.

        Raises:
            NonFiniteLossError: The loss of a training step is NaN or infinite.
        """
        data, step = self.read(batch)
        if not self._checked:
            for check in step.checks:
                check.run(batch.y)
        outputs = step.run(data)
        if self.stops_at_nan and not math.isfinite(outputs[0]):
            raise self.non_finite(data, outputs)
        return outputs

    def read(self, batch: Batch) -> tuple[list[Array], Step]:
        """The arrays of a batch in the order of the step's inputs, and the step for them."""
        parts = batch[:1] if self._mode == "predict" else batch
        if any(map(tree.is_nested, parts)):
            batch = Batch(order_inputs(self._model, batch.x), *parts[1:])
            parts = tuple(tree.leaves(batch))
        layout = [None if array is None else (array.shape[1:], array.dtype) for array in parts]
        known = self._known
        if known is None or layout != known[0]:
            batch = Batch(order_inputs(self._model, batch.x), *batch[1:])
            step = self._model.training_state.steps.get(self._model, self._mode, batch)
            known = self._known = (layout, step)
        return [array for array in parts if array is not None], known[1]

    def non_finite(self, data: list[Array], outputs: tuple[Array, ...]) -> NonFiniteLossError:
        """The error for a batch of the last kind of data, whose loss is not finite."""
        assert self._known is not None
        return non_finite_error(self._model, self._known[1], data, float(outputs[0]))

    def logs(self, outputs: tuple[Array, ...]) -> dict[str, Array]:
        """The metrics among the outputs of a training or test step, by name."""
        names = self._known[1].traced.output_names if self._known is not None else ()
        return dict(zip(names[1:], outputs[1:], strict=True))

    def packed(self, outputs: Any) -> Any:
        """The outputs of a predict step in the structure the model returns them in."""
        assert self._known is not None
        return self._known[1].packed(outputs)
