"""Sequential models: building, changing, and the errors of wrong use."""

from __future__ import annotations

import numpy as np
import pytest

import graphkeras as keras
from graphkeras import layers

X = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")


def test_weights_exist_when_the_input_is_known() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(2)])
    assert model.built
    assert [w.shape for w in model.weights] == [(4, 3), (3,), (3, 2), (2,)]
    assert model.input_shape == (None, 4)
    assert model.output_shape == (None, 2)
    assert [layer.name.split("_")[0] for layer in model.layers] == ["dense", "dense"]
    assert model.weights[0].path.startswith(f"{model.name}/dense")


def test_deferred_build_by_data_and_by_hand() -> None:
    by_data = keras.Sequential([layers.Dense(3)])
    assert not by_data.built
    assert by_data.weights == []
    assert by_data(X).shape == (3, 3)
    assert by_data.input_shape == (None, 4)
    by_hand = keras.Sequential([layers.Dense(3)])
    by_hand.build((None, 4))
    assert by_hand.count_params() == 15


def test_input_shape_in_the_first_layer_as_keras_accepts_it() -> None:
    with pytest.warns(UserWarning, match="better put keras.Input"):
        first = layers.Dense(3, input_shape=(4,))
    assert keras.Sequential([first]).output_shape == (None, 3)
    with pytest.warns(UserWarning, match="input_dim"):
        first = layers.Dense(3, input_dim=4)
    assert keras.Sequential([first]).input_shape == (None, 4)


def test_add_and_pop() -> None:
    model = keras.Sequential()
    model.add(keras.Input((4,)))
    model.add(layers.Dense(3))
    model.add(layers.Dense(2))
    kernel = model.layers[0].kernel
    removed = model.pop()
    assert removed.units == 2
    assert model.output_shape == (None, 3)
    model.add(layers.Dense(5))
    assert model(X).shape == (3, 5)
    assert model.layers[0].kernel is kernel


def test_a_model_as_a_layer() -> None:
    base = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    model = keras.Sequential([base, layers.Dense(2)])
    assert model.built
    assert model.layers[0] is base
    assert model(X).shape == (3, 2)


def test_class_numbers_stay_integers_for_a_first_embedding() -> None:
    model = keras.Sequential([layers.Embedding(2**24 + 2, 1, embeddings_initializer="zeros")])
    model(np.array([[1, 2]]))
    assert model.inputs[0].dtype == "int32"


def test_extra_argument_of_add_says_where_it_belongs() -> None:
    model = keras.Sequential()
    with pytest.raises(TypeError, match=r"Flatten has no argument `activation`.*Dense.*take it"):
        model.add(layers.Flatten(), activation="relu")
    with pytest.raises(TypeError, match=r"belongs inside the layer: Dense\(\.\.\., activation="):
        model.add(layers.Dense(3), activation="relu")


def test_things_that_are_no_layers() -> None:
    model = keras.Sequential()
    with pytest.raises(ValueError, match=r"is made of layers, received.*write Dense\(\.\.\.\)"):
        model.add(layers.Dense)
    with pytest.raises(ValueError, match=r"layers.Lambda"):
        model.add(np.tanh)
    with pytest.raises(TypeError, match=r"Sequential takes a list"):
        keras.Sequential(layers.Dense(3))


def test_wrong_order_and_wrong_shapes() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    with pytest.raises(ValueError, match="already begins with the input shape"):
        model.add(keras.Input((5,)))
    with pytest.raises(ValueError, match=r"for the input shape \(None, 7\)"):
        model.build((None, 7))
    with pytest.raises(ValueError, match="has no layers to build"):
        keras.Sequential().build((None, 3))
    with pytest.raises(ValueError, match="has no layers to remove"):
        keras.Sequential().pop()


def test_a_layer_that_does_not_fit_names_itself() -> None:
    with pytest.raises(ValueError, match=r'layer "conv".*expected min_ndim=4, found ndim=2'):
        keras.Sequential([keras.Input((4,)), layers.Conv2D(2, 3, name="conv")])


def test_misspelt_arguments() -> None:
    with pytest.raises(
        ValueError, match=r"Dense has no argument 'activaton'. Did you mean 'activation'"
    ):
        layers.Dense(3, activaton="relu")


def test_clone() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="relu")], name="m")
    copy = keras.models.clone_model(model)
    assert copy.layers[0].get_config() == model.layers[0].get_config()
    assert copy.layers[0].kernel is not model.layers[0].kernel
