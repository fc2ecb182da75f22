"""The metrics a model was compiled with, in one object."""

from __future__ import annotations

from typing import Any

from graphkeras import metrics as metrics_module
from graphkeras import tree
from graphkeras.errors import StructureError
from graphkeras.frozen import frozen
from graphkeras.metrics import Metric
from graphkeras.metrics.resolve import get_metric
from graphkeras.training.outputs import Names, output_names, per_output_data
from graphkeras.variables import Variable

_AUTOMATIC = ("accuracy", "acc")
"""Names that mean binary, sparse or categorical accuracy, by the shapes."""


@frozen
class OutputMetrics:
    """The metrics of one output."""

    position: int
    prefix: str
    """`"<output>_"` where there are several named outputs."""
    metrics: list[Metric]
    weighted: bool


class CompiledMetrics(Metric):
    """Metrics of all outputs; settled when the first outputs are seen.

    Args:
        metrics: List of names, functions or `Metric`s; for several outputs a list with one entry
            (or list) for each, or a dict by output name.
        weighted_metrics: The same, for metrics that see the sample weights.

    Raises:
        StructureError: An argument is no list or dict.
        UnknownNameError: A metric of that name does not exist.
    """

    def __init__(self, metrics: Any, weighted_metrics: Any) -> None:
        super().__init__(name="compile_metrics")
        for argument, given in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
            if given and not isinstance(given, list | tuple | dict):
                raise StructureError(
                    f"`{argument}` must be a list or a dict, received {given!r} of type "
                    f"{type(given).__name__}. Write {argument}=[{given!r}]"
                )
            for leaf in tree.leaves(given):
                if isinstance(leaf, str) and leaf.lower() not in _AUTOMATIC:
                    metrics_module.get(leaf)
        self._given = {"metrics": metrics, "weighted_metrics": weighted_metrics}
        self.groups: list[OutputMetrics] | None = None

    @property
    def metrics(self) -> list[Metric]:
        """The metrics one by one; empty before the first outputs are seen."""
        return [metric for group in self.groups or () for metric in group.metrics]

    @property
    def variables(self) -> list[Variable]:
        """The variables of all metrics."""
        return [variable for metric in self.metrics for variable in metric.variables]

    def _build(self, names: Names, targets: list[Any], outputs: list[Any]) -> None:
        """Makes the metrics of each output."""
        groups = []
        for argument, given in self._given.items():
            for position, identifiers in enumerate(_per_output(given, names, argument)):
                if identifiers and targets[position] is None:
                    raise StructureError(
                        f"output {names[position] or position!r} has metrics, but no targets: "
                        f"pass `y` for it, or no `{argument}`"
                    )
                made = [
                    get_metric(identifier, targets[position], outputs[position])
                    for identifier in identifiers
                ]
                several = len(names) > 1 and names[position] is not None
                prefix = f"{names[position]}_" if several else ""
                weighted = argument == "weighted_metrics"
                groups.append(OutputMetrics(position, prefix, made, weighted))
        self.groups = groups

    def update(
        self,
        model: Any,
        y: Any,
        y_pred: Any,
        sample_weight: Any = None,
        wanted: list[bool] | None = None,
    ) -> None:
        """Takes a batch into account.

        Args:
            model: The model, for the names of its outputs.
            y: Targets.
            y_pred: Outputs.
            sample_weight: One tensor, or one for each output; seen by weighted metrics only.
            wanted: Which outputs have targets; all by default.
        """
        names = output_names(model, y_pred)
        wanted = wanted or [True] * len(names)
        outputs = tree.flatten(y_pred)
        targets = per_output_data(y, names, wanted, "y")
        if self.groups is None:
            self._build(names, targets, outputs)
        weights = [sample_weight] * len(outputs)
        if tree.is_nested(sample_weight):
            weights = per_output_data(sample_weight, names, wanted, "sample_weight")
        for group in self.groups or ():
            weight = weights[group.position] if group.weighted else None
            for metric in group.metrics:
                target, output = targets[group.position], outputs[group.position]
                metric.update_state(target, output, sample_weight=weight)

    def reset_state(self) -> None:
        """Starts all metrics again."""
        for metric in self.metrics:
            metric.reset_state()

    def result(self) -> dict[str, Any]:
        """The value of each metric under its name in the logs.

        A name that comes twice is followed by `_1`, `_2`; a weighted metric that has the name of
        another one is called `weighted_...`.
        """
        results: dict[str, Any] = {}
        counts: dict[str, int] = {}
        for group in self.groups or ():
            for metric in group.metrics:
                name = f"{group.prefix}{metric.name}"
                if name in counts and group.weighted:
                    name = f"{group.prefix}weighted_{metric.name}"
                count = counts.get(name, 0)
                counts[name] = count + 1
                results[name if count == 0 else f"{name}_{count}"] = metric.result()
        return results


def _per_output(given: Any, names: Names, argument: str) -> list[list[Any]]:
    """The metrics of each output as a list."""
    if not given:
        return [[] for _ in names]
    if len(names) == 1:
        return [tree.flatten(given)]
    if isinstance(given, dict) and set(given) <= set(names):
        chosen = [given.get(name) for name in names]
    elif not isinstance(given, dict) and len(given) == len(names):
        chosen = list(given)
    else:
        shown = ", ".join(repr(name) for name in names)
        raise StructureError(
            f"`{argument}` must be a list with one entry for each of the {len(names)} outputs "
            f"({shown}), or a dict by output name. Received: {argument}={given!r}"
        )
    return [[] if entry is None else tree.flatten(entry) for entry in chosen]
