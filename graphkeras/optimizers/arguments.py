"""The arguments that all optimizers share: their defaults, and what they may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from graphkeras.errors import did_you_mean
from graphkeras.places import warn


class CommonArguments(TypedDict, total=False):
    """Arguments that every optimizer takes; see `Optimizer`."""

    weight_decay: float | None
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    name: str | None


DEFAULTS: Mapping[str, Any] = {
    "weight_decay": None,
    "clipnorm": None,
    "clipvalue": None,
    "global_clipnorm": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
    "name": None,
}


def complete(optimizer: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The shared arguments of an optimizer, with the defaults of those not given.

    Args:
        optimizer: Name of its class, for messages.
        arguments: Those given.

    Raises:
        ValueError: If one is unknown or has no meaning.

    `decay`, an argument of Keras 2, is left out with a warning, as in Keras 3.
    """
    arguments = dict(arguments)
    if arguments.pop("decay", None) is not None:
        warn(
            f"{optimizer}: the argument `decay` is ignored. Pass a schedule as learning_rate, such "
            "as keras.optimizers.schedules.InverseTimeDecay"
        )
    for name, value in arguments.items():
        if name not in DEFAULTS:
            hint = did_you_mean(name, ["learning_rate", *DEFAULTS])
            if name == "lr":
                hint = "Did you mean 'learning_rate'?"
            raise ValueError(
                f"Argument not recognized by {optimizer}: {name}={value!r}. {hint}".rstrip()
            )
    options = {**DEFAULTS, **arguments}
    _check_clipping(options)
    _check_averaging(options)
    steps = options["gradient_accumulation_steps"]
    if steps and steps < 2:
        raise ValueError(
            "`gradient_accumulation_steps` must be an integer >= 2. "
            f"Received: gradient_accumulation_steps={steps}"
        )
    return options


def _check_clipping(options: Mapping[str, Any]) -> None:
    names = ("clipnorm", "clipvalue", "global_clipnorm")
    if sum(options[name] is not None for name in names) > 1:
        received = ", ".join(f"{name}={options[name]}" for name in names)
        raise ValueError(
            "Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set. "
            f"Received: {received}"
        )


def _check_averaging(options: Mapping[str, Any]) -> None:
    if not options["use_ema"]:
        return
    momentum, every = options["ema_momentum"], options["ema_overwrite_frequency"]
    if not 0 <= momentum <= 1:
        raise ValueError(
            f"`ema_momentum` must be in the range [0, 1]. Received: ema_momentum={momentum}"
        )
    if every and (not isinstance(every, int) or every < 1):
        raise ValueError(
            "`ema_overwrite_frequency` must be an integer >= 1 or None. "
            f"Received: ema_overwrite_frequency={every}"
        )
