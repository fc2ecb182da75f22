"""Pictures of models: `plot_model` and `model_to_dot` with the arguments of Keras 3.

A box a layer, an edge a call. For the graph the compiler makes of a model, see `Graph.to_dot`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from graphkeras.utils.messages import print_message

if TYPE_CHECKING:
    from pathlib import Path

    from graphviz import Digraph

RANKDIRS = ("TB", "LR", "BT", "RL")
DPI = 200


def plot_model(
    model: Any,
    to_file: str | os.PathLike[str] = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = DPI,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
) -> list[Path]:
    """Draws a model into a file.

    Where the `dot` program of Graphviz is missing, `<name>.dot` and a self-contained page
    `<name>.html` that draws the model in the browser are written, and a message says so.

    Args:
        model: A built model.
        to_file: The file; its suffix names the format (`.png`, `.svg`, `.pdf`, `.jpg`, `.gif`,
            `.dot`, `.html`), none stands for `.png`.
        show_shapes: Whether to show input and output shapes.
        show_dtype: Whether to show output dtypes.
        show_layer_names: Whether to show the names of layers.
        rankdir: `"TB"`: from top to bottom, `"LR"`: from left to right; also `"BT"`, `"RL"`.
        expand_nested: Whether models inside the model are drawn as frames around their layers.
        dpi: Dots an inch.
        show_layer_activations: Whether to show the activation of layers that have one.
        show_trainable: Whether to show if a layer with weights is trainable.

    Returns:
        The files written.

    Raises:
        ValueError: The model is not built, `rankdir` or the suffix of `to_file` is unknown, or
            the folder does not exist.
    """
    from graphkeras.viz.model_view import Shown, model_view
    from graphkeras.viz.render import explain, write_picture

    show = Shown(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable)
    view = model_view(model, show, expand_nested)
    from pathlib import Path

    path = Path(to_file)
    path = path if path.suffix else path.with_suffix(".png")
    written = write_picture(view, path, direction=_checked(rankdir), title="", dpi=dpi)
    if written != [path]:
        print_message(explain(path, written))
    return written


def model_to_dot(
    model: Any,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = DPI,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "spline",
) -> Digraph:
    """A model as a `graphviz.Digraph` (Keras returns the like of pydot).

    Args:
        model: A built model.
        show_shapes: Whether to show input and output shapes.
        show_dtype: Whether to show output dtypes.
        show_layer_names: Whether to show the names of layers.
        rankdir: `"TB"`, `"LR"`, `"BT"` or `"RL"`.
        expand_nested: Whether models inside the model are drawn as frames around their layers.
        dpi: Dots an inch.
        show_layer_activations: Whether to show the activation of layers that have one.
        show_trainable: Whether to show if a layer with weights is trainable.
        splines: How edges are drawn: `"spline"`, `"ortho"`, `"curved"`, `"polyline"`, `"line"`.

    Raises:
        ValueError: The model is not built, or `rankdir` is unknown.
    """
    from graphkeras.viz.dot import view_to_dot
    from graphkeras.viz.model_view import Shown, model_view

    show = Shown(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable)
    dot = view_to_dot(model_view(model, show, expand_nested), _checked(rankdir))
    dot.attr("graph", dpi=str(dpi), splines=splines)
    return dot


def _checked(rankdir: str) -> str:
    if rankdir not in RANKDIRS:
        raise ValueError(
            f"rankdir must be one of {', '.join(map(repr, RANKDIRS))}, received {rankdir!r}"
        )
    return rankdir
