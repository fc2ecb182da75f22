"""The summary is, character for character, that of the real Keras."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import keras as real_keras
import numpy as np
import pytest

import graphkeras
from graphkeras.utils.summary import readable_size


def convnet(keras: Any) -> Any:
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Conv2D(8, 3, activation="relu", name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.MaxPooling2D(name="pool"),
            layers.Flatten(name="flat"),
            layers.Dropout(0.5, name="drop"),
            layers.Dense(10, name="dense"),
        ],
        name="convnet",
    )
    model.compile("adam", "mse")
    return model


def unbuilt(keras: Any) -> Any:
    inner = keras.Sequential([keras.layers.Dense(2, name="two")], name="in[ner]")
    return keras.Sequential([keras.layers.Dense(3, name="three"), inner], name="late")


def frozen(keras: Any) -> Any:
    model = unbuilt(keras)
    model.build((None, 4))
    model.layers[0].trainable = False
    return model


def shared(keras: Any) -> Any:
    layers = keras.layers
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    dense = layers.Dense(3, name="shared")
    total = layers.Add(name="total")([dense(a), dense(b)])
    other = layers.Concatenate(name="both")([total, layers.ReLU(name="relu_1")(total)])
    return keras.Model([a, b], [total, other], name="functional")


def chain(keras: Any) -> Any:
    x = keras.Input((4,), name="x")
    return keras.Model(x, keras.layers.Dense(2, name="d")(x), name="chain")


def functions(keras: Any) -> Any:
    x = keras.Input((4,), name="x")
    return keras.Model(x, keras.ops.log_softmax(x) + keras.ops.relu(x), name="functions")


def trained(keras: Any) -> Any:
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(2, name="dense")], name="trained"
    )
    model.compile("adam", "mse")
    model.fit(np.zeros((2, 4), "float32"), np.zeros((2, 2), "float32"), verbose=0)
    return model


def text_of(model: Any, **options: Any) -> str:
    parts: list[str] = []
    model.summary(print_fn=lambda text, **_: parts.append(text), **options)
    return "".join(parts)


def both(make: Callable[[Any], Any], **options: Any) -> tuple[str, str]:
    texts = []
    for keras in (graphkeras, real_keras):
        keras.backend.clear_session()
        texts.append(text_of(make(keras), **options))
    return texts[0], texts[1]


@pytest.mark.parametrize(
    "make", [convnet, unbuilt, frozen, shared, chain, functions, trained], ids=lambda f: f.__name__
)
@pytest.mark.parametrize(
    "options",
    [{}, {"show_trainable": True, "expand_nested": True}, {"line_length": 70}],
    ids=["plain", "all columns", "narrow"],
)
def test_summary_is_that_of_keras(make: Callable[[Any], Any], options: dict[str, Any]) -> None:
    ours, theirs = both(make, **options)
    assert ours == theirs


def test_layer_range_and_positions() -> None:
    ours, theirs = both(convnet, layer_range=["norm", "fl.*"], positions=[0.5, 0.8, 1.0])
    assert ours == theirs
    assert "norm" in ours
    assert "conv (" not in ours


def test_subclassed_models_show_the_shapes_of_their_layers() -> None:
    class Mine(graphkeras.Model):
        def __init__(self) -> None:
            super().__init__(name="mine")
            self.dense = graphkeras.layers.Dense(3, name="dense")

        def call(self, x: Any) -> Any:
            return self.dense(x)

    model = Mine()
    assert "(unbuilt)" in text_of(model)
    model(np.zeros((2, 4), "float32"))
    assert re.search(r"dense \(Dense\) +│ \(2, 3\) +│ +15 │", text_of(model))


def test_summary_is_printed_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    chain(graphkeras).summary()
    assert 'Model: "chain"' in capsys.readouterr().out


def test_wrong_arguments_are_named() -> None:
    model = convnet(graphkeras)
    with pytest.raises(ValueError, match="must be a list or tuple of two layer names"):
        model.summary(layer_range=["conv"])
    with pytest.raises(ValueError, match=r"does not match the layers.*\n  layers: conv, norm"):
        model.summary(layer_range=["conv", "missing"])
    with pytest.raises(ValueError, match="make line_length larger"):
        model.summary(line_length=10)


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [(0, "0.00 B"), (1023, "1023.00 B"), (1024, "1.00 KB"), (5 * 1024**3, "5.00 GB")],
)
def test_readable_size(nbytes: int, text: str) -> None:
    assert readable_size(nbytes) == text
