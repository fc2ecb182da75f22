"""From a script to the graph of a model's step, without training anything."""

from __future__ import annotations

import runpy
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphkeras import tree
from graphkeras.cli.errors import CommandError
from graphkeras.compiler import optimize, optimize_halves
from graphkeras.config import floatx
from graphkeras.errors import did_you_mean
from graphkeras.frozen import frozen
from graphkeras.ir.dims import Size
from graphkeras.ir.graph import Graph
from graphkeras.ir.types import SHORT, TensorType
from graphkeras.models import Model
from graphkeras.passes import PassError, PassRecord
from graphkeras.trace import BATCH
from graphkeras.training.outputs import output_names, per_output
from graphkeras.training.step import build, trace_predict_step, trace_test_step, trace_train_step

RUN_NAME = "graphkeras_model"
"""`__name__` while a script runs, so that its main part does not."""


def load_model(file: str, name: str | None = None) -> Any:
    """The model that a script makes.

    Args:
        file: The script. It runs, except for what stands under `if __name__ == "__main__"`.
        name: A variable or function of the script; None: `model`, else `build_model()`, else
            the only model the script holds.

    Raises:
        CommandError: There is no such file, it fails, or it holds no such model.
    """
    names = _run(Path(file))
    if name is not None:
        if name not in names:
            known = [key for key in names if not key.startswith("_")]
            raise CommandError(
                f"{file} has no variable or function {name!r}. {did_you_mean(name, known)}".rstrip()
            )
        return _as_model(names[name], name, file)
    for usual in ("model", "build_model"):
        if usual in names:
            return _as_model(names[usual], usual, file)
    models = {key: value for key, value in names.items() if isinstance(value, Model)}
    if len({id(model) for model in models.values()}) == 1:
        return next(iter(models.values()))
    found = f"it holds the models {', '.join(models)}" if models else "it holds no model"
    raise CommandError(
        f"cannot tell which model of {file} is meant: it has no variable `model` and no function "
        f"`build_model`, and {found}. Name one with --name"
    )


def _run(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CommandError(f"there is no file {str(path)!r}")
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        return runpy.run_path(str(path), run_name=RUN_NAME)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # A script may also end itself with sys.exit.
        place = _last_line(path, error)
        raise CommandError(f"{path} failed{place}: {type(error).__name__}: {error}") from error
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def _last_line(path: Path, error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename) == path]
    return f" at line {lines[-1]}" if lines else ""


def _as_model(found: Any, name: str, file: str) -> Any:
    if isinstance(found, Model):
        return found
    if callable(found):
        try:
            made = found()
        except Exception as error:
            raise CommandError(
                f"{name}() of {file} failed: {type(error).__name__}: {error}"
            ) from error
        if isinstance(made, Model):
            return made
        raise CommandError(f"{name}() of {file} returned {type(made).__name__}, not a model")
    raise CommandError(f"{name} of {file} is no model but {type(found).__name__}")


@frozen
class StepGraph:
    """The graph of a step, as it is traced."""

    graph: Graph
    constant: tuple[int, ...] = ()
    """Positions of the inputs that rarely change: what depends on them alone becomes a program of
    its own. None in training."""


def step_graph(
    model: Any, step: str | None = None, shapes: Sequence[str] | None = None
) -> StepGraph:
    """The graph of a step of a model, as it is traced.

    Args:
        model: The model.
        step: `"train"`, `"test"`, `"predict"`; None: train where the model is compiled with a
            loss.
        shapes: Shapes of one sample of each input as text; None: those the model declares.

    Raises:
        CommandError: The model is not compiled but must be, its input shapes are not known, or
            they do not fit its layers.
    """
    trains = model.compiled and model.loss is not None
    step = step or ("train" if trains else "predict")
    try:
        return _traced(model, step, shapes)
    except (ValueError, TypeError) as error:
        # What the API of Keras raises where shapes or arguments do not fit.
        raise CommandError(f"the {step} step cannot be traced: {error}") from error


def _traced(model: Any, step: str, shapes: Sequence[str] | None) -> StepGraph:
    if step != "predict" and not model.compiled:
        raise CommandError(
            f"model {model.name!r} is not compiled, so it has no {step} step. Call model.compile "
            "in the script, or use --step predict"
        )
    x = _input_types(model, shapes)
    if not all(layer.built for layer in model._flatten_layers()):
        build(model, x)
    predict, structure = trace_predict_step(model, x)
    if step == "predict":
        return StepGraph(predict.graph, predict.constant)
    y = _target_types(model, [value.type for value in predict.graph.outputs], structure)
    if step == "test":
        test = trace_test_step(model, x, y)
        return StepGraph(test.graph, test.constant)
    model.training_state.prepare_optimizer(model)
    return StepGraph(trace_train_step(model, x, y).graph)


def optimized(step: StepGraph) -> list[tuple[PassRecord, ...]]:
    """What each pass of the compiler does to a step.

    Returns:
        The records of its program; then of the one that prepares variables, if there is one.

    Raises:
        CommandError: A pass failed; the message names the reproducer.
    """
    try:
        if not step.constant:
            return [tuple(optimize(step.graph).records)]
        halves = optimize_halves(step.graph, step.constant)
        return [halves.main, halves.prepare] if halves.prepare else [halves.main]
    except PassError as error:
        raise CommandError(str(error), code=1) from error


def _input_types(model: Any, shapes: Sequence[str] | None) -> Any:
    if shapes:
        types = [_sample_type(text) for text in shapes]
        return types[0] if len(types) == 1 else types
    if model._graph is None:
        raise CommandError(
            f"the input shape of model {model.name!r} is not known: its layers are made when it "
            "is first called. Give the shape of one sample, for example --input 28,28,1"
        )
    return tree.map_structure(lambda t: TensorType(tuple(t.dims), t.dtype), model.input)


def _sample_type(text: str) -> TensorType:
    """`28,28,1` or `100:int32` -> the type of a batch of such samples."""
    sizes, _, dtype = text.partition(":")
    try:
        shape = tuple(int(size) for size in sizes.split(",") if size.strip())
    except ValueError:
        shape = (-1,)
    if any(size < 1 for size in shape) or (dtype and dtype not in SHORT):
        raise CommandError(
            f"--input {text} is no shape; write the sizes of one sample without the batch, such "
            "as 28,28,1, and a dtype where it is not float, such as 100:int32"
        )
    return TensorType((Size.symbol(BATCH), *shape), dtype or floatx())


def _target_types(model: Any, outputs: list[TensorType], structure: Any) -> Any:
    """Types of targets that fit the losses: class numbers for sparse ones, else like outputs."""
    names = output_names(model, structure)
    losses = per_output(model.loss, names, "loss")
    types = [
        _target_type(loss, output)
        for loss, output in zip(losses, outputs, strict=True)
        if loss is not None
    ]
    return types[0] if len(types) == 1 else types or None


def _target_type(loss: Any, output: TensorType) -> TensorType:
    name = loss if isinstance(loss, str) else getattr(loss, "name", getattr(loss, "__name__", ""))
    if "sparse" in str(name).lower():
        return TensorType(output.shape[:-1], "int64")
    return output
