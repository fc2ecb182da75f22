"""The base of all optimizers.

`apply` writes the whole update into the graph being traced, as assignments to variables: the
weights, the optimizer's slots, and the iteration counter. Outside a trace it computes at once.

    gradients -> unscale -> (accumulate) -> clip -> weight decay -> update_step of each weight
              -> moving averages of the weights -> constraints -> iterations + 1

The learning rate is a variable too, or computed from the iterations by a schedule, so a program
compiled once follows every change of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self, Unpack, overload

from graphkeras import initializers, names, ops
from graphkeras.config import floatx
from graphkeras.optimizers.arguments import DEFAULTS, CommonArguments, complete
from graphkeras.optimizers.averaging import WeightAverages
from graphkeras.optimizers.clipping import clip_by_global_norm, clip_by_norm, clip_by_value
from graphkeras.optimizers.schedules import LearningRateSchedule, deserialize, serialize
from graphkeras.places import warn
from graphkeras.trace import run_eagerly
from graphkeras.variables import Variable

LearningRate = float | LearningRateSchedule | Callable[[], Any]


class Optimizer:
    """Base of optimizers. A subclass implements `build` (its slots) and `update_step`.

    Args:
        learning_rate: A float, a `LearningRateSchedule`, or a function without arguments that
            returns the rate (called while the training step is traced).
        weight_decay: Before each update a weight loses this fraction of itself, times the
            learning rate; None for no decay.
        clipnorm: Largest norm of the gradient of one weight.
        clipvalue: Largest size of one element of a gradient.
        global_clipnorm: Largest norm of all gradients together.
        use_ema: Whether to keep exponential moving averages of the weights.
        ema_momentum: `average = ema_momentum * average + (1 - ema_momentum) * weight`.
        ema_overwrite_frequency: Steps after which the weights become their averages; only at
            the end of `fit` by default.
        loss_scale_factor: The loss is multiplied by it before, and the gradients divided by it
            after, they are computed.
        gradient_accumulation_steps: Steps whose mean gradient makes one update, at least 2;
            each step makes one by default.
        name: Name of the optimizer; made from the class name by default.

    Raises:
        ValueError: If an argument is unknown or has no meaning, or more than one of the three
            clipping arguments is given.
    """

    def __init__(self, learning_rate: LearningRate, **kwargs: Unpack[CommonArguments]) -> None:
        options = complete(type(self).__name__, kwargs)
        self.name: str = options["name"] or names.auto_name(type(self).__name__)
        self.weight_decay: float | None = options["weight_decay"]
        self.clipnorm: float | None = options["clipnorm"]
        self.clipvalue: float | None = options["clipvalue"]
        self.global_clipnorm: float | None = options["global_clipnorm"]
        self.use_ema: bool = options["use_ema"]
        self.ema_momentum: float = options["ema_momentum"]
        self.ema_overwrite_frequency: int | None = options["ema_overwrite_frequency"]
        self.loss_scale_factor: float | None = options["loss_scale_factor"]
        self.gradient_accumulation_steps: int | None = options["gradient_accumulation_steps"]
        self.built = False
        self._variables: list[Variable] = []
        self._trainable_variables: list[Variable] = []
        self._indices: dict[int, int] = {}
        self._averages: WeightAverages | None = None
        self._accumulators: list[Variable] = []
        self._undecayed: list[Variable] = []
        self._undecayed_pattern: re.Pattern[str] | None = None
        self._iterations = self._scalar(0, "int32", "iteration")
        self._learning_rate = self._first_learning_rate(learning_rate)

    def _first_learning_rate(self, learning_rate: Any) -> Any:
        if isinstance(learning_rate, float):
            return self._scalar(learning_rate, floatx(), "learning_rate")
        if callable(learning_rate):
            return learning_rate
        raise ValueError(
            "Argument `learning_rate` should be a float, a LearningRateSchedule, or a function "
            "without arguments that returns the learning rate. "
            f"Received: learning_rate={learning_rate!r}"
        )

    def _scalar(self, value: float, dtype: str, name: str) -> Variable:
        with names.name_scope(self.name, self):
            variable = Variable(value, dtype=dtype, trainable=False, name=name)
        self._variables.append(variable)
        return variable

    @property
    def variables(self) -> list[Variable]:
        """The iteration counter, the learning rate unless it is computed, and all slots."""
        return list(self._variables)

    @property
    def iterations(self) -> Any:
        """Number of updates made so far."""
        if self.gradient_accumulation_steps:
            return ops.floor_divide(self._iterations, self.gradient_accumulation_steps)
        return self._iterations

    @property
    def learning_rate(self) -> Any:
        """The learning rate now: a variable, or what the schedule or function returns.

        Setting a number changes the variable; setting a schedule or function replaces it.

        Raises:
            TypeError: If a number is set in the place of a schedule.
        """
        if isinstance(self._learning_rate, LearningRateSchedule):
            return self._learning_rate(self._iterations)
        if isinstance(self._learning_rate, Variable):
            return self._learning_rate
        return self._learning_rate()

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        current = self._learning_rate
        if callable(learning_rate):
            self._learning_rate = learning_rate
            self._variables = [v for v in self._variables if v is not current]
        elif isinstance(current, Variable):
            current.assign(learning_rate)
        else:
            raise TypeError(
                "This optimizer computes its learning rate with a schedule or function, so the "
                "rate cannot be set to a number. Make the optimizer with a float `learning_rate` "
                "if it is to be set."
            )

    def build(self, variables: Sequence[Variable]) -> None:
        """Makes the slots of the variables to be trained. A subclass extends it.

        Args:
            variables: All variables that `apply` will be called with.
        """
        if self.use_ema:
            averages = self.add_optimizer_variables(variables, "average")
            self._averages = WeightAverages(self.ema_momentum, list(variables), averages)
        if self.gradient_accumulation_steps:
            self._accumulators = self.add_optimizer_variables(variables, "gradient_accumulator")
        self._indices = {id(variable): i for i, variable in enumerate(variables)}
        self._trainable_variables = list(variables)
        self.built = True

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The weights of a copied or unpickled model are other objects than those before."""
        self.__dict__.update(state)
        self._indices = {id(variable): i for i, variable in enumerate(self._trainable_variables)}

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any = "zeros",
        dtype: str | None = None,
        name: str | None = None,
    ) -> Variable:
        """A new slot.

        Args:
            shape: Its shape.
            initializer: Name of an initializer, or an initializer.
            dtype: Its dtype; `config.floatx()` by default.
            name: Its name.
        """
        with names.name_scope(self.name, self):
            variable = Variable(
                initializers.get(initializer),
                shape=tuple(shape),
                dtype=dtype,
                trainable=False,
                name=name,
            )
        self._variables.append(variable)
        return variable

    def add_variable_from_reference(
        self, reference_variable: Variable, name: str = "var", initializer: Any = "zeros"
    ) -> Variable:
        """A new slot with the shape and dtype of a weight, named after it."""
        return self.add_variable(
            reference_variable.shape,
            initializer,
            reference_variable.dtype,
            f"{reference_variable.path.replace('/', '_')}_{name}",
        )

    @overload
    def add_optimizer_variables(  # type: ignore[overload-overlap]  # a str is a sequence of str
        self, trainable_variables: Sequence[Variable], name: str, initializer: Any = "zeros"
    ) -> list[Variable]: ...

    @overload
    def add_optimizer_variables(
        self,
        trainable_variables: Sequence[Variable],
        name: Sequence[str],
        initializer: Any = "zeros",
    ) -> tuple[list[Variable], ...]: ...

    def add_optimizer_variables(
        self,
        trainable_variables: Sequence[Variable],
        name: str | Sequence[str],
        initializer: Any = "zeros",
    ) -> list[Variable] | tuple[list[Variable], ...]:
        """New slots for each weight.

        Args:
            trainable_variables: The weights.
            name: Name of one kind of slot, or of several.
            initializer: Their initializer, or one for each kind.

        Returns:
            One slot for each weight, or such a list for each kind.

        Raises:
            ValueError: If there are not as many initializers as names.
        """
        kinds = [name] if isinstance(name, str) else list(name)
        several = isinstance(initializer, list | tuple)
        makers = list(initializer) if several else [initializer] * len(kinds)
        if len(kinds) != len(makers):
            raise ValueError(
                "There must be one initializer for each name. Received: "
                f"name={name!r}, initializer={initializer!r}"
            )
        rows = [
            [
                self.add_variable_from_reference(variable, kind, maker)
                for kind, maker in zip(kinds, makers, strict=True)
            ]
            for variable in trainable_variables
        ]
        slots = tuple([row[i] for row in rows] for i in range(len(kinds)))
        return slots[0] if isinstance(name, str) else slots

    def _get_variable_index(self, variable: Variable) -> int:
        return self._indices[id(variable)]

    def assign(self, variable: Variable, value: Any) -> None:
        """Gives a variable its next value."""
        variable.assign(value)

    def assign_add(self, variable: Variable, value: Any) -> None:
        """Adds to a variable."""
        variable.assign_add(value)

    def assign_sub(self, variable: Variable, value: Any) -> None:
        """Subtracts from a variable."""
        variable.assign_sub(value)

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Updates one weight and its slots.

        Args:
            gradient: Its gradient, a tensor of its shape.
            variable: The weight.
            learning_rate: The learning rate of this step, a scalar.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement update_step().")

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> Variable:
        """`apply` for pairs of a gradient and a variable.

        Returns:
            The iteration counter.
        """
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])
        return self._iterations

    def apply(
        self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None
    ) -> None:
        """Makes one update.

        Args:
            grads: Gradients; None where the loss does not depend on a variable, which is then
                left alone with a warning.
            trainable_variables: Their variables; those of `build` by default. The first call
                builds the optimizer if `build` was not called.

        Raises:
            ValueError: If there is no gradient at all, the numbers differ, or the optimizer was
                built without one of the variables.
        """
        if len(grads) == 0:
            return
        variables = self._resolve(grads, trainable_variables)
        run_eagerly(self._update, grads, variables)

    def _resolve(
        self, grads: Sequence[Any], variables: Sequence[Variable] | None
    ) -> list[Variable]:
        """The variables of the gradients; builds the optimizer at the first call."""
        if variables is None:
            if not self.built:
                raise ValueError(
                    "`apply` without variables needs an optimizer that is built. Call "
                    "`optimizer.build(trainable_variables)` first."
                )
            variables = self._trainable_variables
        if len(grads) != len(variables):
            raise ValueError(
                f"`apply` needs one gradient for each variable. Received {len(grads)} gradients "
                f"for {len(variables)} variables."
            )
        if not self.built:
            self.build(list(variables))
        for variable in variables:
            if id(variable) not in self._indices:
                raise ValueError(
                    f"Unknown variable: {variable.path!r}. The optimizer was built for other "
                    "variables, and has no slots for this one. Use a new optimizer for a new set "
                    "of variables."
                )
        return list(variables)

    def _update(self, grads: Sequence[Any], variables: list[Variable]) -> None:
        kept, variables = _drop_missing(grads, variables)
        if self.loss_scale_factor is not None:
            kept = [ops.divide(g, self.loss_scale_factor) for g in kept]
        if self.gradient_accumulation_steps:
            self._accumulate(kept, variables, self.gradient_accumulation_steps)
        else:
            self._step(kept, variables)
        if self._averages is not None:
            self._averages.update(self.iterations)
            if self.ema_overwrite_frequency:
                self._averages.overwrite_every(self.ema_overwrite_frequency, self.iterations)
        for variable in variables:
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable))
        self._iterations.assign_add(1)

    def _step(self, grads: list[Any], variables: list[Variable]) -> None:
        grads = self._clip(grads)
        learning_rate = self.learning_rate
        if self.weight_decay is not None:
            self._decay(variables, self.weight_decay, learning_rate)
        self.update_all(grads, variables, learning_rate)

    def update_all(self, grads: list[Any], variables: list[Variable], learning_rate: Any) -> None:
        """Updates all weights. A subclass extends it to update what they share."""
        for gradient, variable in zip(grads, variables, strict=True):
            self.update_step(gradient, variable, learning_rate)

    def _accumulate(self, grads: list[Any], variables: list[Variable], steps: int) -> None:
        """Makes the update of the mean gradient, but keeps it only every `steps` steps."""
        is_update = ops.equal(ops.mod(self._iterations + 1, steps), 0)
        accumulators = [self._accumulators[self._get_variable_index(v)] for v in variables]
        sums = [g + accumulator for g, accumulator in zip(grads, accumulators, strict=True)]
        before = [(v, v.value) for v in (*variables, *self._variables)]
        self._step([total / steps for total in sums], variables)
        for variable, value in before:
            if variable.value is not value:
                variable.assign(ops.where(is_update, variable, value))
        for accumulator, total in zip(accumulators, sums, strict=True):
            accumulator.assign(ops.where(is_update, ops.zeros_like(total), total))

    def _clip(self, grads: list[Any]) -> list[Any]:
        if self.clipnorm and self.clipnorm > 0:
            return [clip_by_norm(g, self.clipnorm) for g in grads]
        if self.global_clipnorm and self.global_clipnorm > 0:
            return clip_by_global_norm(grads, self.global_clipnorm)
        if self.clipvalue and self.clipvalue > 0:
            return [clip_by_value(g, self.clipvalue) for g in grads]
        return grads

    def _decay(self, variables: list[Variable], fraction: float, learning_rate: Any) -> None:
        for variable in variables:
            if self._use_weight_decay(variable):
                rate = ops.cast(learning_rate, variable.dtype)
                variable.assign(variable - variable * fraction * rate)

    def exclude_from_weight_decay(
        self,
        var_list: Sequence[Variable] | None = None,
        var_names: Sequence[str] | None = None,
    ) -> None:
        """Names variables that do not decay; replaces those named before.

        Args:
            var_list: Variables.
            var_names: Regular expressions, searched for in the names of variables.

        Raises:
            ValueError: If the optimizer is built already.
        """
        if self.built:
            raise ValueError(
                "`exclude_from_weight_decay()` can only be called before the optimizer is built: "
                "call it before the first training step."
            )
        self._undecayed = list(var_list or ())
        self._undecayed_pattern = re.compile("|".join(set(var_names))) if var_names else None

    def _use_weight_decay(self, variable: Variable) -> bool:
        if any(variable is other for other in self._undecayed):
            return False
        pattern = self._undecayed_pattern
        return pattern is None or pattern.search(variable.name) is None

    def scale_loss(self, loss: Any) -> Any:
        """The loss whose gradients `apply` expects: times `loss_scale_factor`, if there is one."""
        return (
            loss if self.loss_scale_factor is None else ops.multiply(loss, self.loss_scale_factor)
        )

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """Replaces weights by their moving averages, if there are any; `fit` calls it at its end.

        Args:
            var_list: The weights the optimizer was built with.

        Raises:
            ValueError: If it was built with others.
        """
        if not self.use_ema:
            return
        if self._averages is None or len(var_list) != len(self._averages.weights):
            known = 0 if self._averages is None else len(self._averages.weights)
            raise ValueError(
                f"The optimizer has moving averages of {known} weights, received {len(var_list)}. "
                "Was it used to train this model?"
            )
        run_eagerly(self._averages.overwrite)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this optimizer again, with the learning rate of now."""
        rate: Any = self._learning_rate
        if isinstance(rate, LearningRateSchedule):
            rate = serialize(rate)
        elif isinstance(rate, Variable):
            rate = float(rate.numpy())
        config = {name: getattr(self, name) for name in DEFAULTS}
        return {**config, "learning_rate": rate}

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Self:
        """An optimizer with the arguments `get_config` returned."""
        arguments = dict(config)
        if isinstance(arguments.get("learning_rate"), Mapping):
            arguments["learning_rate"] = deserialize(arguments["learning_rate"], custom_objects)
        return cls(**arguments)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def _drop_missing(
    grads: Sequence[Any], variables: list[Variable]
) -> tuple[list[Any], list[Variable]]:
    """Gradients that exist, and their variables; warns of the others."""
    pairs = [(g, v) for g, v in zip(grads, variables, strict=True) if g is not None]
    if not pairs:
        raise ValueError(
            "No gradients provided for any variable: the loss depends on none of "
            f"{[v.path for v in variables]}."
        )
    missing = [v.path for g, v in zip(grads, variables, strict=True) if g is None]
    if missing:
        warn(
            f"Gradients do not exist for variables {missing} when minimizing the loss: the loss "
            "does not depend on them."
        )
    return [g for g, _ in pairs], [v for _, v in pairs]
