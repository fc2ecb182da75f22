"""Metrics with the names of `keras.metrics`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from graphkeras.lazy import Things, loader
from graphkeras.names import to_snake_case
from graphkeras.registry import Registry

if TYPE_CHECKING:
    from graphkeras.losses import (
        binary_crossentropy,
        binary_focal_crossentropy,
        categorical_crossentropy,
        categorical_focal_crossentropy,
        huber,
        kl_divergence,
        log_cosh,
        mean_absolute_error,
        mean_absolute_percentage_error,
        mean_squared_error,
        mean_squared_logarithmic_error,
        poisson,
        sparse_categorical_crossentropy,
    )
    from graphkeras.losses.hinges import categorical_hinge, hinge, squared_hinge
    from graphkeras.metrics.accuracy import (
        Accuracy,
        BinaryAccuracy,
        CategoricalAccuracy,
        SparseCategoricalAccuracy,
        SparseTopKCategoricalAccuracy,
        TopKCategoricalAccuracy,
        binary_accuracy,
        categorical_accuracy,
        sparse_categorical_accuracy,
        sparse_top_k_categorical_accuracy,
        top_k_categorical_accuracy,
    )
    from graphkeras.metrics.auc import (
        AUC,
    )
    from graphkeras.metrics.confusion import (
        FalseNegatives,
        FalsePositives,
        Precision,
        PrecisionAtRecall,
        Recall,
        RecallAtPrecision,
        SensitivityAtSpecificity,
        SpecificityAtSensitivity,
        TrueNegatives,
        TruePositives,
    )
    from graphkeras.metrics.f_score import (
        F1Score,
        FBetaScore,
    )
    from graphkeras.metrics.hinges import (
        CategoricalHinge,
        Hinge,
        SquaredHinge,
    )
    from graphkeras.metrics.metric import (
        Metric,
    )
    from graphkeras.metrics.probabilistic import (
        BinaryCrossentropy,
        CategoricalCrossentropy,
        KLDivergence,
        Poisson,
        SparseCategoricalCrossentropy,
    )
    from graphkeras.metrics.reduction import (
        Mean,
        MeanMetricWrapper,
        Sum,
    )
    from graphkeras.metrics.regression import (
        CosineSimilarity,
        LogCoshError,
        MeanAbsoluteError,
        MeanAbsolutePercentageError,
        MeanSquaredError,
        MeanSquaredLogarithmicError,
        R2Score,
        RootMeanSquaredError,
    )

_FILES = {
    ".losses": (
        "binary_crossentropy binary_focal_crossentropy categorical_crossentropy "
        "categorical_focal_crossentropy categorical_hinge hinge huber kl_divergence log_cosh "
        "mean_absolute_error mean_absolute_percentage_error mean_squared_error "
        "mean_squared_logarithmic_error poisson sparse_categorical_crossentropy squared_hinge"
    ),
    "accuracy": (
        "Accuracy BinaryAccuracy CategoricalAccuracy SparseCategoricalAccuracy "
        "SparseTopKCategoricalAccuracy TopKCategoricalAccuracy binary_accuracy "
        "categorical_accuracy sparse_categorical_accuracy sparse_top_k_categorical_accuracy "
        "top_k_categorical_accuracy"
    ),
    "auc": "AUC",
    "confusion": (
        "FalseNegatives FalsePositives Precision PrecisionAtRecall Recall RecallAtPrecision "
        "SensitivityAtSpecificity SpecificityAtSensitivity TrueNegatives TruePositives"
    ),
    "f_score": "F1Score FBetaScore",
    "hinges": "CategoricalHinge Hinge SquaredHinge",
    "metric": "Metric",
    "probabilistic": (
        "BinaryCrossentropy CategoricalCrossentropy KLDivergence Poisson "
        "SparseCategoricalCrossentropy"
    ),
    "reduction": "Mean MeanMetricWrapper Sum",
    "regression": (
        "CosineSimilarity LogCoshError MeanAbsoluteError MeanAbsolutePercentageError "
        "MeanSquaredError MeanSquaredLogarithmicError R2Score RootMeanSquaredError"
    ),
}
__getattr__, __dir__ = loader(__name__, _FILES)

_ALIASES = {
    "bce": "BinaryCrossentropy",
    "mae": "MeanAbsoluteError",
    "mape": "MeanAbsolutePercentageError",
    "mse": "MeanSquaredError",
    "msle": "MeanSquaredLogarithmicError",
}

_CLASSES = Things(__name__, _FILES, functions=False, without="Metric")

functions = Registry("metric function", "keras.metrics", Things(__name__, _FILES, classes=False))
"""The functions a `MeanMetricWrapper` can be saved with."""

_registry = Registry(
    "metric",
    "keras.metrics",
    _CLASSES,
    {to_snake_case(name): name for name in _CLASSES}
    | _ALIASES
    | {alias.upper(): target for alias, target in _ALIASES.items()},
)


def get(identifier: Any) -> Any:
    """The metric a user means.

    `"accuracy"` means `Accuracy` here; `compile` chooses one by the shapes of the data.

    Args:
        identifier: Name of a class (`"MeanSquaredError"`, `"mean_squared_error"`, `"mse"`), a
            config from `serialize`, a function, a `Metric`, or None.

    Returns:
        A `Metric`, a function, or None.

    Raises:
        ValueError: If no metric has that name, or the identifier is none of these.
    """
    return _registry.get(identifier)


def serialize(metric: Any) -> Any:
    """A dictionary from which `deserialize` makes the metric again.

    Args:
        metric: A `Metric` or a function.
    """
    return _registry.serialize(metric)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Inverse of `serialize`.

    Args:
        config: What `serialize` returned, or a name.
        custom_objects: The user's own metrics by name.

    Raises:
        ValueError: If no metric has that name.
    """
    return _registry.deserialize(config, custom_objects)


__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "Poisson",
    "Precision",
    "PrecisionAtRecall",
    "R2Score",
    "Recall",
    "RecallAtPrecision",
    "RootMeanSquaredError",
    "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SpecificityAtSensitivity",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "binary_accuracy",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_accuracy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "deserialize",
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
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "squared_hinge",
    "top_k_categorical_accuracy",
]
