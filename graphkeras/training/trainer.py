"""`compile`, `fit`, `evaluate`, `predict` and their kin: the part of `Model` that trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from graphkeras import config, ops, optimizers
from graphkeras.callbacks import CallbackList, History
from graphkeras.callbacks.callback_list import python_logs
from graphkeras.errors import ConfigError, DataError, NotCompiledError, StructureError
from graphkeras.metrics import Mean, Metric
from graphkeras.training import loops
from graphkeras.training.compiled_loss import CompiledLoss
from graphkeras.training.compiled_metrics import CompiledMetrics
from graphkeras.training.data import (
    Batch,
    Epochs,
    adapter_for,
    class_weights,
    read_batch,
    split_validation,
    unpack,
)
from graphkeras.training.state import TrainingState, trainable_flags
from graphkeras.training.steps import StepCache


class Trainer:
    """Mixin of `Model`.

    A step (training, test, predict) is traced and compiled the first time its kind of data is
    seen, and then runs for every batch size.
    """

    stop_training = False
    """Set by a callback to end `fit` after the current batch."""
    stop_evaluating = False
    stop_predicting = False
    history: History
    """The history of the last `fit`."""
    name: str
    trainable_variables: list[Any]

    if TYPE_CHECKING:

        def _flatten_layers(self, include_self: bool = True) -> Iterator[Any]: ...

    @property
    def training_state(self) -> TrainingState:
        """What `compile` left; internal."""
        state: TrainingState | None = self.__dict__.get("_training_state")
        if state is None:
            state = self.__dict__["_training_state"] = TrainingState()
        return state

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: str | bool = "auto",
        auto_scale_loss: bool = True,
        *,
        autotune: bool | None = None,
    ) -> None:
        """Settles how the model is trained.

        Args:
            optimizer: Name or optimizer.
            loss: Name, function or `Loss`; for several outputs a list, or a dict by output name.
            loss_weights: Factors of the outputs' losses in the total loss.
            metrics: List of names, functions and `Metric`s; for several outputs a list with one
                entry each, or a dict by output name.
            weighted_metrics: The same, for metrics weighted by `sample_weight`.
            run_eagerly: Whether each operation runs by itself in NumPy: slow, for debugging.
            steps_per_execution: Batches between two calls of the callbacks.
            jit_compile: Accepted for compatibility; everything is compiled.
            auto_scale_loss: Accepted for compatibility; there is no mixed precision.
            autotune: Whether the kernels of matrix products and convolutions are chosen by timing
                them on this machine, for the size of the first batch; some seconds once, then the
                kernel cache knows. The last bits of results may differ from those without.
                None: the setting `autotune`. Not in Keras.

        Raises:
            ConfigError: `autotune` is neither a bool nor None.
            UnknownNameError: An optimizer, loss or metric of that name does not exist.
            StructureError: An argument has the wrong form.
        """
        given = {
            "optimizer": optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": jit_compile,
            "autotune": autotune,
        }
        if not isinstance(autotune, bool | None):
            raise ConfigError(
                f"compile: autotune must be True, False or None (the setting `autotune`), "
                f"received {autotune!r}"
            )
        has_metrics = metrics is not None or weighted_metrics is not None
        self.__dict__["_training_state"] = TrainingState(
            compiled=True,
            optimizer=optimizers.get(optimizer),
            loss=loss,
            compiled_loss=None if loss is None else CompiledLoss(loss, loss_weights),
            compiled_metrics=CompiledMetrics(metrics, weighted_metrics) if has_metrics else None,
            loss_tracker=Mean(name="loss"),
            run_eagerly=bool(run_eagerly),
            autotune=autotune,
            steps_per_execution=int(steps_per_execution),
            config=given,
            flags=trainable_flags(self),
        )
        self.stop_training = False

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self.training_state.compiled

    @property
    def optimizer(self) -> Any:
        """The optimizer, or `None` before `compile`."""
        return self.training_state.optimizer

    @property
    def loss(self) -> Any:
        """The loss as it was given to `compile`."""
        return self.training_state.loss

    @property
    def run_eagerly(self) -> bool:
        """Whether operations run one by one in NumPy; may be set, for the steps from now on."""
        return self.training_state.run_eagerly

    @run_eagerly.setter
    def run_eagerly(self, value: bool) -> None:
        self.training_state.run_eagerly = bool(value)
        self.training_state.steps = StepCache()

    @property
    def metrics(self) -> list[Metric]:
        """The loss tracker, the compiled metrics, the outputs' losses, the layers' metrics."""
        inner = {
            id(metric)
            for layer in self._flatten_layers(include_self=False)
            if isinstance(layer, Trainer)
            for metric in layer.training_state.metrics()
        }
        layers = [m for m in getattr(super(), "metrics", []) if id(m) not in inner]
        return [*self.training_state.metrics(), *layers]

    @property
    def metrics_names(self) -> list[str]:
        """The names of `metrics`."""
        return [metric.name for metric in self.metrics]

    @property
    def flat_metrics(self) -> list[Metric]:
        """`metrics` with the compiled ones one by one."""
        flat: list[Metric] = []
        for metric in self.metrics:
            flat.extend(metric.metrics if isinstance(metric, CompiledMetrics) else [metric])
        return flat

    def reset_metrics(self) -> None:
        """Starts all metrics again."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """The value of every metric by its name in the logs."""
        results: dict[str, Any] = {}
        for metric in self.metrics:
            value = metric.result()
            results.update(value if isinstance(value, dict) else {metric.name: value})
        return results

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The total loss of a batch: the compiled losses, `add_loss` and the regularizers.

        Override it to train on another loss; it becomes part of the step's graph.

        Args:
            x: Inputs.
            y: Targets.
            y_pred: Outputs of the model.
            sample_weight: Weights.
            training: Whether this is a training step.

        Returns:
            A scalar tensor.

        Raises:
            StructureError: In training, there is no loss at all.
        """
        compiled = self.training_state.compiled_loss
        total = None if compiled is None else compiled(self, y, y_pred, sample_weight)
        for extra in getattr(self, "losses", ()):
            value = ops.sum(ops.cast(extra, config.floatx()))
            total = value if total is None else total + value
        if total is None and training:
            raise StructureError(
                f"model {self.name!r} has no loss to train with: pass one to compile(), such as "
                "loss='mse', or call add_loss() in a layer"
            )
        return ops.zeros((), dtype=config.floatx()) if total is None else total

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Updates the metrics with a batch and returns all values. May be overridden.

        Args:
            x: Inputs.
            y: Targets.
            y_pred: Outputs of the model.
            sample_weight: Weights.
        """
        state = self.training_state
        if state.compiled_metrics is not None:
            wanted = state.compiled_loss.wanted if state.compiled_loss is not None else None
            state.compiled_metrics.update(self, y, y_pred, sample_weight, wanted)
        return self.get_metrics_result()

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | list[int] = 1,
    ) -> History:
        """Trains the model.

        Args:
            x: Inputs: arrays, pandas objects or lists of numbers; several in a list, or in a
                dict by input name. Or a generator or `PyDataset` of batches.
            y: Targets, in the same way; not with a generator or `PyDataset`.
            batch_size: Samples a batch, 32 by default.
            epochs: Number of the last epoch.
            verbose: 0 prints nothing, 1 or `"auto"` a progress bar, 2 one line an epoch.
            callbacks: List of callbacks.
            validation_split: Part of the samples, taken from the end, to validate with.
            validation_data: `(x, y)` or `(x, y, sample_weight)`, or a source of batches.
            shuffle: Whether samples come in a new order every epoch.
            class_weight: Weight of each class in the loss.
            sample_weight: Weight of each sample in the loss.
            initial_epoch: Number of the first epoch, counted from 0.
            steps_per_epoch: Batches an epoch; by default one pass over the data.
            validation_steps: Batches a validation.
            validation_batch_size: Samples a batch of a validation; `batch_size` by default.
            validation_freq: Epochs between two validations, or a list of epochs from 1.

        Returns:
            The history: `fit(...).history["loss"]` has one value an epoch.

        Raises:
            NotCompiledError: `compile` was not called.
            DataError: The data are empty, of unequal lengths, or of an unknown kind.
            ShapeError: The data do not fit the model.
            LabelRangeError: Class numbers exceed the units of the output.
            NonFiniteLossError: The loss became NaN or infinite (setting `nan_loss`).
        """
        self._require_compiled("fit")
        self.training_state.warn_if_trainable_changed(self)
        data, validation = Batch(x, y, sample_weight), None
        if validation_data is not None:
            validation = unpack(validation_data)
        elif validation_split:
            data, validation = split_validation(data, validation_split)
        if not isinstance(validation_freq, int | list | tuple):
            raise DataError(
                f"validation_freq must be an int or a list of epochs, received {validation_freq!r}"
            )
        adapter = adapter_for(*data, batch_size, steps_per_epoch, shuffle, class_weight)
        train = Epochs(adapter, steps_per_epoch, self.training_state.steps_per_execution)
        test = None
        if validation is not None:
            size = validation_batch_size or batch_size
            test = self._epochs(validation, size, validation_steps)
        chain = self._callbacks(callbacks, verbose, epochs, train.num_batches, history=True)
        loop = loops.FitLoop(self, train, chain, test, validation_freq)
        loop.run(initial_epoch, epochs)
        return self.history

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """The loss and metrics of the model on data.

        Args:
            x: Inputs, as for `fit`.
            y: Targets.
            batch_size: Samples a batch, 32 by default.
            verbose: 0 prints nothing, 1 or `"auto"` a progress bar, 2 one line.
            sample_weight: Weight of each sample.
            steps: Batches; by default one pass over the data.
            callbacks: List of callbacks.
            return_dict: Whether the values come in a dict by name.

        Returns:
            The loss, or a list of the loss and the metrics; a dict with `return_dict`.

        Raises:
            NotCompiledError: `compile` was not called.
        """
        self._require_compiled("evaluate")
        epochs = self._epochs(Batch(x, y, sample_weight), batch_size, steps)
        chain = self._callbacks(callbacks, verbose, 1, epochs.num_batches)
        run = loops.runner_for(self, "test", epochs.adapter)
        logs = loops.evaluate(self, epochs, run, chain)
        return logs if return_dict else self._in_order(logs)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """The outputs of the model for all samples, in inference mode.

        Args:
            x: Inputs, as for `fit`.
            batch_size: Samples a batch, 32 by default.
            verbose: 0 prints nothing, 1 or `"auto"` a progress bar, 2 one line.
            steps: Batches; by default one pass over the data.
            callbacks: List of callbacks.

        Returns:
            Arrays in the structure of the model's outputs.
        """
        run = self.training_state.steps.runner(self, "predict")
        if verbose == 0 and not callbacks and steps is None and loops.is_one_batch(x, batch_size):
            self.stop_predicting = False
            return loops.predict_alone(run, x)
        epochs = self._epochs(Batch(x), batch_size, steps)
        chain = self._callbacks(callbacks, verbose, 1, epochs.num_batches)
        # Mistakes are reported before the first callback.
        run.read(epochs.adapter.first())
        return loops.predict(self, epochs, run, chain)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One training step on one batch.

        Args:
            x: Inputs.
            y: Targets.
            sample_weight: Weight of each sample.
            class_weight: Weight of each class.
            return_dict: Whether the values come in a dict by name.

        Returns:
            The loss, or a list of the loss and the metrics, of this batch alone.

        Raises:
            NotCompiledError: `compile` was not called.
            NonFiniteLossError: The loss is NaN or infinite (setting `nan_loss`).
        """
        self._require_compiled("train_on_batch")
        batch = read_batch((x, y, sample_weight), "train_on_batch")
        if class_weight is not None:
            if sample_weight is not None:
                raise DataError("pass class_weight or sample_weight, not both")
            batch = batch._replace(sample_weight=class_weights(batch.y, class_weight))
        return self._on_batch("train", batch, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """The loss and metrics of one batch.

        Args:
            x: Inputs.
            y: Targets.
            sample_weight: Weight of each sample.
            return_dict: Whether the values come in a dict by name.

        Raises:
            NotCompiledError: `compile` was not called.
        """
        self._require_compiled("test_on_batch")
        batch = read_batch((x, y, sample_weight), "test_on_batch")
        return self._on_batch("test", batch, return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs of the model for one batch, in inference mode.

        Args:
            x: Inputs.
        """
        run = self.training_state.steps.runner(self, "predict")
        outputs = run(read_batch((x,), "predict_on_batch"))
        return run.packed(outputs)

    def _on_batch(self, mode: str, batch: Batch, return_dict: bool) -> Any:
        stops = mode == "train" and config.setting("nan_loss") == "raise"
        run = self.training_state.steps.runner(self, mode, stops)
        self.reset_metrics()
        logs = python_logs(run.logs(run(batch)))
        return logs if return_dict else self._in_order(logs)

    def _epochs(self, data: Batch, batch_size: int | None, steps: int | None) -> Epochs:
        """One pass over data that are not shuffled."""
        adapter = adapter_for(*data, batch_size, steps)
        return Epochs(adapter, steps, self.training_state.steps_per_execution)

    def _callbacks(
        self,
        callbacks: Any,
        verbose: str | int,
        epochs: int,
        steps: int | None,
        history: bool = False,
    ) -> CallbackList:
        if isinstance(callbacks, CallbackList):
            return callbacks
        return CallbackList(
            callbacks,
            add_history=history,
            add_progbar=verbose != 0,
            model=self,
            verbose=verbose,
            epochs=epochs,
            steps=steps,
        )

    def _in_order(self, logs: dict[str, Any]) -> Any:
        """The logs as Keras returns them: in the order of the metrics, then by name."""
        names = [metric.name for metric in self.flat_metrics]
        first = [logs[name] for name in names if name in logs]
        rest = [value for name, value in logs.items() if name not in names]
        values = first + rest
        return values[0] if len(values) == 1 else values

    def _require_compiled(self, method: str) -> None:
        if not self.compiled:
            raise NotCompiledError(
                f"model {self.name!r} must be compiled before `{method}`. You must call "
                "`compile()` first, for example "
                "model.compile(optimizer='adam', loss='mse', metrics=['mae'])"
            )
