from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import graphkeras as keras
from graphkeras import layers
from graphkeras.utils import model_to_dot, plot_model
from graphkeras.viz.model_view import Shown, model_view

PLAIN = Shown(False, False, True, False, False)


def two_inputs() -> keras.Model:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    inner = keras.Sequential(
        [keras.Input((4,)), layers.Dense(5, name="first"), layers.Dense(3, name="last")],
        name="inner",
    )
    total = layers.Add(name="total")([inner(a), layers.Dense(3, "relu", name="other")(b)])
    return keras.Model([a, b], keras.ops.relu(total), name="two")


def edges(model: keras.Model, expand: bool = False) -> set[tuple[str, str]]:
    view = model_view(model, PLAIN, expand)
    names = {box.id: box.title.partition(" ")[0] for box in view.boxes}
    return {(names[edge.source], names[edge.target]) for edge in view.edges}


def test_boxes_are_layers_and_edges_calls() -> None:
    found = edges(two_inputs())
    assert {("a", "inner"), ("b", "other"), ("inner", "total"), ("other", "total")} <= found
    assert len(found) == 5


def test_nested_models_can_be_expanded() -> None:
    model = two_inputs()
    found = edges(model, expand=True)
    assert {("a", "first"), ("first", "last"), ("last", "total")} <= found
    assert [group.title for group in model_view(model, PLAIN, True).groups] == ["inner"]
    assert "cluster_" in model_to_dot(model, expand_nested=True).source
    assert "cluster_" not in model_to_dot(model).source


def test_sequential_models_hide_their_input() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="d"), layers.ReLU(name="r")])
    assert edges(model) == {("d", "r")}
    assert "InputLayer" not in model_to_dot(model).source


def test_what_is_shown_can_be_chosen() -> None:
    model = two_inputs()
    model.get_layer("other").trainable = False
    text = model_to_dot(
        model,
        show_shapes=True,
        show_dtype=True,
        show_layer_activations=True,
        show_trainable=True,
    ).source
    for part in ("other (Dense)", "Activation: relu", "(None, 4)", "(None, 3)", "float32"):
        assert part in text
    assert "Non-trainable" in text
    bare = model_to_dot(model, show_layer_names=False).source
    assert "<b>Dense</b>" in bare
    assert "other (Dense)" not in bare
    assert "(None" not in bare


def test_direction_and_resolution() -> None:
    text = model_to_dot(two_inputs(), rankdir="LR", dpi=77, splines="ortho").source
    assert "rankdir=LR" in text
    assert "dpi=77" in text
    assert "splines=ortho" in text


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs the dot program")
def test_plot_model_writes_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.png"
    assert plot_model(two_inputs(), path, show_shapes=True, expand_nested=True) == [path]
    assert path.read_bytes().startswith(b"\x89PNG")
    assert plot_model(two_inputs(), tmp_path / "other") == [tmp_path / "other.png"]
    assert capsys.readouterr().out == ""


def test_plot_model_without_graphviz_says_what_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    written = plot_model(two_inputs(), tmp_path / "model.png")
    assert [path.name for path in written] == ["model.dot", "model.html"]
    assert all(path.exists() for path in written)
    message = capsys.readouterr().out
    assert "model.dot" in message
    assert "model.html instead: open the .html in a browser" in message


def test_subclassed_models_are_one_box(tmp_path: Path) -> None:
    class Mine(keras.Model):
        def call(self, x: object) -> object:
            return x

    model = Mine(name="mine")
    with pytest.raises(ValueError, match="model 'mine' is not built"):
        plot_model(model, tmp_path / "model.dot")
    model.build((None, 3))
    assert "mine (Mine)" in model_to_dot(model).source


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rankdir must be one of 'TB', 'LR'"):
        plot_model(two_inputs(), tmp_path / "model.png", rankdir="down")
    with pytest.raises(ValueError, match=r"it has the suffix '\.bmp'"):
        plot_model(two_inputs(), tmp_path / "model.bmp")
