"""Losses with the names of `keras.losses`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from graphkeras.lazy import Things, loader
from graphkeras.registry import Registry

if TYPE_CHECKING:
    from graphkeras.losses.crossentropy import (
        BinaryCrossentropy,
        BinaryFocalCrossentropy,
        CategoricalCrossentropy,
        CategoricalFocalCrossentropy,
        SparseCategoricalCrossentropy,
        binary_crossentropy,
        binary_focal_crossentropy,
        categorical_crossentropy,
        categorical_focal_crossentropy,
        sparse_categorical_crossentropy,
    )
    from graphkeras.losses.divergence import (
        KLDivergence,
        Poisson,
        kl_divergence,
        poisson,
    )
    from graphkeras.losses.hinges import (
        CategoricalHinge,
        Hinge,
        SquaredHinge,
        categorical_hinge,
        hinge,
        squared_hinge,
    )
    from graphkeras.losses.loss import (
        Loss,
        LossFunctionWrapper,
    )
    from graphkeras.losses.regression import (
        CosineSimilarity,
        Huber,
        LogCosh,
        MeanAbsoluteError,
        MeanAbsolutePercentageError,
        MeanSquaredError,
        MeanSquaredLogarithmicError,
        cosine_similarity,
        huber,
        log_cosh,
        mean_absolute_error,
        mean_absolute_percentage_error,
        mean_squared_error,
        mean_squared_logarithmic_error,
    )
    from graphkeras.losses.segmentation import (
        Dice,
        Tversky,
        dice,
        tversky,
    )

_FILES = {
    "crossentropy": (
        "BinaryCrossentropy BinaryFocalCrossentropy CategoricalCrossentropy "
        "CategoricalFocalCrossentropy SparseCategoricalCrossentropy binary_crossentropy "
        "binary_focal_crossentropy categorical_crossentropy categorical_focal_crossentropy "
        "sparse_categorical_crossentropy"
    ),
    "divergence": "KLDivergence Poisson kl_divergence poisson",
    "hinges": "CategoricalHinge Hinge SquaredHinge categorical_hinge hinge squared_hinge",
    "loss": "Loss LossFunctionWrapper",
    "regression": (
        "CosineSimilarity Huber LogCosh MeanAbsoluteError MeanAbsolutePercentageError "
        "MeanSquaredError MeanSquaredLogarithmicError cosine_similarity huber log_cosh "
        "mean_absolute_error mean_absolute_percentage_error mean_squared_error "
        "mean_squared_logarithmic_error"
    ),
    "segmentation": "Dice Tversky dice tversky",
}
__getattr__, __dir__ = loader(__name__, _FILES)

_ALIASES = {
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "mse": "mean_squared_error",
    "msle": "mean_squared_logarithmic_error",
}


_registry = Registry(
    "loss",
    "keras.losses",
    Things(__name__, _FILES, without="Loss"),
    _ALIASES | {alias.upper(): target for alias, target in _ALIASES.items()},
)


def get(identifier: Any) -> Any:
    """The loss a user means.

    Args:
        identifier: Name of a function (`"mean_squared_error"`, `"mse"`) or class
            (`"MeanSquaredError"`), a config from `serialize`, a function, a `Loss`, or None.

    Returns:
        A function, a `Loss`, or None.

    Raises:
        ValueError: If no loss has that name, or the identifier is none of these.
    """
    return _registry.get(identifier)


def is_loss(thing: Any) -> bool:
    """Whether an object is one of the functions or classes of this module, or an instance."""
    return any(_registry.has(each) for each in (thing, type(thing)))


def serialize(loss: Any) -> Any:
    """A dictionary from which `deserialize` makes the loss again.

    Args:
        loss: A `Loss` or a loss function.
    """
    return _registry.serialize(loss)


def deserialize(name: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Inverse of `serialize`.

    Args:
        name: What `serialize` returned, or a name.
        custom_objects: The user's own losses by name.

    Raises:
        ValueError: If no loss has that name.
    """
    return _registry.deserialize(name, custom_objects)


__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Dice",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "LossFunctionWrapper",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "Tversky",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "deserialize",
    "dice",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "serialize",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "tversky",
]
