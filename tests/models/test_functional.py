"""Functional models: structure, sharing, nesting, and agreement with the real Keras."""

from __future__ import annotations

import keras as real_keras
import numpy as np
import pytest

import graphkeras as keras
from graphkeras import layers, ops

RNG = np.random.default_rng(0)


def data(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def branched(k):  # type: ignore[no-untyped-def]
    """The same model for either library: two inputs, a shared layer, a merge, two outputs."""
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    shared = k.layers.Dense(3, activation="tanh", name="shared")
    left, right = shared(a), shared(b)
    both = k.layers.Concatenate(name="both")([left, right])
    deep = k.layers.Dense(5, activation="relu", name="deep")(both)
    deep = k.layers.Dense(6, name="deeper")(deep)
    total = k.layers.Add(name="total")([deep, both])
    scaled = k.ops.sigmoid(total) * 2.0
    return k.Model([a, b], {"x": scaled, "y": k.layers.Dense(1, name="y")(left)})


def test_same_layers_weights_and_outputs_as_keras() -> None:
    mine, real = branched(keras), branched(real_keras)
    # Keras counts its operations too; only layers are compared.
    names = [layer.name for layer in real.layers if "." not in layer.name]
    real_layers = [n for n in names if n in {m.name for m in mine.layers}]
    assert [layer.name for layer in mine.layers] == real_layers
    assert [w.shape for w in mine.weights] == [tuple(w.shape) for w in real.weights]
    real.set_weights(mine.get_weights())
    inputs = [data(7, 4), data(7, 4)]
    ours, theirs = mine(inputs), real(inputs)
    for key in ("x", "y"):
        np.testing.assert_allclose(ours[key], np.asarray(theirs[key]), rtol=1e-5, atol=1e-6)
    assert mine.output_shape == {"x": (None, 6), "y": (None, 1)}


def test_a_shared_layer_has_one_set_of_weights() -> None:
    model = branched(keras)
    assert sum(w.path.startswith("shared/") for w in model.weights) == 2
    assert model.count_params() == 15 + 35 + 36 + 4


def test_data_by_name_in_any_order() -> None:
    model = branched(keras)
    a, b = data(2, 4), data(2, 4)
    by_list, by_name = model([a, b]), model({"b": b, "a": a})
    np.testing.assert_array_equal(by_list["x"], by_name["x"])


def test_nested_structures_of_inputs() -> None:
    first, second = keras.Input((2,), name="first"), keras.Input((2,), name="second")
    model = keras.Model({"one": first, "rest": [second]}, first - second)
    out = model({"one": np.ones((1, 2)), "rest": [np.zeros((1, 2))]})
    np.testing.assert_array_equal(out, [[1.0, 1.0]])


def test_models_inside_models_share_weights() -> None:
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(2)], name="inner")
    x, y = keras.Input((3,)), keras.Input((3,))
    model = keras.Model([x, y], inner(x) - inner(y))
    assert len(model.weights) == 2
    assert "inner" in [layer.name for layer in model.layers]
    same = data(4, 3)
    np.testing.assert_array_equal(model([same, same]), np.zeros((4, 2), "float32"))


def test_a_model_of_inner_tensors() -> None:
    x = keras.Input((3,))
    hidden = layers.Dense(4, activation="relu", name="hidden")(x)
    full = keras.Model(x, layers.Dense(2)(hidden))
    features = keras.Model(full.inputs, full.get_layer("hidden").output)
    head = keras.Model(hidden, full.output)
    batch = data(5, 3)
    np.testing.assert_allclose(head(features(batch)), full(batch), rtol=1e-6)


def test_operators_and_indexing_on_symbolic_tensors() -> None:
    x = keras.Input((4, 6))
    y = (1.0 - x[:, 1:3, ::2]) / 2 + ops.mean(x, axis=(1, 2), keepdims=True)
    assert y.shape == (None, 2, 3)
    batch = data(3, 4, 6)
    wanted = (1 - batch[:, 1:3, ::2]) / 2 + batch.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(keras.Model(x, y)(batch), wanted, rtol=1e-5, atol=1e-6)


def test_training_reaches_inner_layers_and_can_be_fixed() -> None:
    x = keras.Input((100,))
    free = keras.Model(x, layers.Dropout(0.5)(x))
    fixed = keras.Model(x, layers.Dropout(0.5)(x, training=True))
    ones = np.ones((1, 100), "float32")
    assert np.all(free(ones) == 1.0)
    assert np.any(free(ones, training=True) == 0.0)
    assert np.any(fixed(ones) == 0.0)


def test_integer_data_becomes_the_inputs_dtype() -> None:
    x = keras.Input((2,), dtype="float32")
    model = keras.Model(x, x * 0.5)
    assert model(np.array([[1, 3]])).tolist() == [[0.5, 1.5]]


def test_a_model_deeper_than_pythons_stack() -> None:
    x = start = keras.Input((1,))
    for _ in range(1200):
        x = ops.add(x, 1.0)
    assert keras.Model(start, x)(np.zeros((1, 1)))[0, 0] == 1200.0


def test_unknown_sizes_inside_the_image() -> None:
    x = keras.Input((None, None, 3))
    y = layers.Conv2D(4, 3, padding="same")(x)
    assert y.shape == (None, None, None, 4)
    model = keras.Model(x, layers.GlobalAveragePooling2D()(y))
    assert model(data(2, 8, 6, 3)).shape == (2, 4)
    assert model(data(1, 5, 9, 3)).shape == (1, 4)


def test_clone_has_the_architecture_and_other_weights() -> None:
    model = branched(keras)
    copy = keras.models.clone_model(model)
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    assert not {id(w) for w in copy.weights} & {id(w) for w in model.weights}
    copy.set_weights(model.get_weights())
    inputs = [data(2, 4), data(2, 4)]
    np.testing.assert_array_equal(copy(inputs)["x"], model(inputs)["x"])


# Errors ----------------------------------------------------------------------------------


def test_an_output_from_an_input_that_is_not_given() -> None:
    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="forgotten")
    with pytest.raises(ValueError, match=r"Graph disconnected.*name=forgotten.*inputs \['a'\]"):
        keras.Model(a, layers.Add()([a, b]))


def test_outputs_that_are_no_symbolic_tensors() -> None:
    a = keras.Input((2,))
    with pytest.raises(ValueError, match=r"must be symbolic tensors.*It is a layer: call it"):
        keras.Model(a, layers.Dense(2))
    with pytest.raises(ValueError, match=r"Make inputs with keras\.Input"):
        keras.Model(np.zeros((1, 2)), a)


def test_two_layers_of_one_name() -> None:
    a = keras.Input((2,))
    x = layers.Dense(2, name="same")(a)
    with pytest.raises(ValueError, match=r"2 layers of model .* have the name 'same'"):
        keras.Model(a, layers.Dense(2, name="same")(x))


def test_data_of_a_wrong_shape_names_layer_and_shapes() -> None:
    model = keras.Model(x := keras.Input((4,), name="x"), layers.Dense(2)(x), name="net")
    with pytest.raises(ValueError, match=r'Input 0 of layer "net".*\(None, 4\).*\(3, 5\)'):
        model(np.zeros((3, 5)))


def test_a_missing_input_name() -> None:
    with pytest.raises(
        ValueError, match=r"The input 'b' of model .* is missing: expected data for .*'a', 'b'"
    ):
        branched(keras)({"a": data(1, 4)})


def test_numpy_and_python_on_symbolic_tensors() -> None:
    x = keras.Input((4,))
    with pytest.raises(TypeError, match=r"no value while the model is built.*keras\.ops"):
        np.exp(np.asarray(x))
    with pytest.raises(TypeError, match="cannot be used as a Python bool"):
        bool(x > 0)


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match=r"has no layer 'shard'.*Did you mean 'shared'"):
        branched(keras).get_layer("shard")


def test_input_shape_without_a_tuple() -> None:
    with pytest.raises(ValueError, match=r"Did you mean shape=\(784,\)"):
        keras.Input(784)
