"""Layers and models written by the user."""

from __future__ import annotations

import abc
from typing import Any

import numpy as np
import pytest

import graphkeras as keras
from graphkeras import layers, ops

X = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")


class Linear(keras.Layer):
    def __init__(self, units: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: Any) -> None:
        self.w = self.add_weight(shape=(input_shape[-1], self.units), name="w")
        self.steps = self.add_weight(shape=(), initializer="zeros", trainable=False, name="steps")
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="b")

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training:
            self.steps.assign_add(1.0)
        return ops.matmul(inputs, self.w) + self.b


class Net(keras.Model):
    def __init__(self) -> None:
        super().__init__(name="net")
        self.blocks: list[Any] = []
        for width in (5, 3):
            self.blocks.append(Linear(width))
        self.named = {"drop": layers.Dropout(0.5)}

    def call(self, inputs: Any, training: bool = False) -> Any:
        for block in self.blocks:
            inputs = ops.relu(block(inputs))
        return self.named["drop"](inputs)


def test_build_call_and_state() -> None:
    layer = Linear(3)
    assert not layer.built
    np.testing.assert_allclose(layer(X), X @ layer.w.numpy(), rtol=1e-5, atol=1e-6)
    assert [w.name for w in layer.weights] == ["w", "b", "steps"]
    assert [w.name for w in layer.trainable_weights] == ["w", "b"]
    assert layer.w.path.endswith("/w")
    layer(X, training=True)
    assert layer.steps.numpy() == 1.0
    assert layer.count_params() == 16


def test_sublayers_in_lists_and_dicts_are_found() -> None:
    model = Net()
    assert model(X).shape == (3, 3)
    assert [layer.name.split("_")[0] for layer in model.layers] == ["linear", "linear", "dropout"]
    assert len(model.weights) == 6
    assert len(model.variables) == 7  # and the dropout's seed
    assert model.weights[0].path.startswith("net/linear")


def test_training_reaches_layers_inside() -> None:
    model = Net()
    model(X, training=True)
    assert model.blocks[0].steps.numpy() == 1.0
    model(X)
    assert model.blocks[1].steps.numpy() == 1.0


def test_building_a_subclassed_model_by_shape() -> None:
    model = Net()
    model.build((None, 4))
    assert model.count_params() == (20 + 5 + 1) + (15 + 3 + 1)


def test_freezing() -> None:
    model = Net()
    model.build((None, 4))
    model.blocks[0].trainable = False
    assert len(model.trainable_weights) == 2
    model.trainable = False
    assert model.trainable_weights == []
    assert len(model.non_trainable_weights) == 6
    model.trainable = True
    assert len(model.trainable_weights) == 4
    assert not model.blocks[0].steps.trainable


def test_custom_layers_in_functional_models() -> None:
    x = keras.Input((4,))
    model = keras.Model(x, Linear(3)(x))
    assert model(X).shape == (3, 3)
    assert model.output_shape == (None, 3)


def test_a_subclass_with_symbolic_inputs_and_outputs() -> None:
    class Special(keras.Model):
        def extra(self) -> int:
            return len(self.weights)

    x = keras.Input((4,))
    model = Special(x, layers.Dense(2)(x))
    assert model(X).shape == (3, 2)
    assert model.extra() == 2


def test_losses_of_layers_and_regularizers() -> None:
    class Penal(keras.Layer):
        def call(self, x: Any) -> Any:
            self.add_loss(ops.sum(x) * 0.0 + 2.0)
            return x

    model = keras.Sequential([Penal(), layers.Dense(2, kernel_regularizer="l2", use_bias=False)])
    model(X)
    model(X)
    kernel = model.layers[1].kernel.numpy()
    assert [float(v) for v in model.losses] == pytest.approx([2.0, 0.01 * np.sum(kernel**2)])
    active = layers.Dense(2, activity_regularizer=keras.regularizers.L1(0.5))
    out = active(X)
    assert float(active.losses[0]) == pytest.approx(0.5 * np.abs(out).sum() / 3, rel=1e-5)


def test_configs_without_get_config() -> None:
    class Plain(keras.Layer):
        def __init__(self, size: int, mode: str = "a", **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.size = size

    config = Plain(3, mode="b", name="p").get_config()
    assert {k: config[k] for k in ("size", "mode", "name")} == {"size": 3, "mode": "b", "name": "p"}
    assert Plain.from_config(config).size == 3
    with pytest.raises(NotImplementedError, match=r"mode=<object.*Define get_config"):
        Plain(3, mode=object()).get_config()  # type: ignore[arg-type]


def test_set_weights_checks_number_and_shapes() -> None:
    layer = Linear(3, name="lin")
    layer(X)
    with pytest.raises(ValueError, match=r"'lin' expects 3 arrays, received 1"):
        layer.set_weights([np.zeros(3)])
    with pytest.raises(
        ValueError, match=r"'lin/w' has shape \(4, 3\), received an array of shape \(3, 4\)"
    ):
        layer.set_weights([np.zeros((3, 4)), np.zeros(3), np.zeros(())])
    saved = layer.get_weights()
    layer.set_weights([w + 1 for w in saved])
    np.testing.assert_allclose(layer.w.numpy(), saved[0] + 1)


def test_forgotten_super_init() -> None:
    class Forgot(keras.Layer):
        def __init__(self) -> None:
            self.size = 3

        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(RuntimeError, match=r"Forgot does not call super\(\).__init__\(\)"):
        Forgot()(X)


def test_errors_inside_call_keep_their_class_and_name_the_layer() -> None:
    class Bad(keras.Layer):
        def call(self, x: Any) -> Any:
            raise KeyError("inside")

    with pytest.raises(KeyError) as caught:
        Bad(name="bad")(X)
    notes = "\n".join(caught.value.__notes__)
    assert "In Bad.call() of layer 'bad'" in notes
    assert "shape=(3, 4), dtype=float32" in notes


def test_wrong_call_arguments() -> None:
    with pytest.raises(TypeError, match=r"Linear.call\(\) of layer .*unexpected.*'trainig'"):
        Linear()(X, trainig=True)


def test_a_layer_without_call() -> None:
    with pytest.raises(NotImplementedError, match="defines no call"):
        keras.Layer()(X)


def test_wrong_last_axis_of_a_built_layer() -> None:
    layer = layers.Dense(2, name="d")
    layer(X)
    with pytest.raises(
        ValueError, match=r"expected axis -1 of input shape to have value 4.*\(3, 5\)"
    ):
        layer(np.zeros((3, 5)))


def test_masks_flow_from_embedding_to_the_layers_that_take_them() -> None:
    class Count(keras.Layer):
        def call(self, x: Any, mask: Any = None) -> Any:
            return ops.sum(ops.cast(mask, "float32"), axis=1)

    x = keras.Input((3,), dtype="int32")
    h = layers.Embedding(5, 2, mask_zero=True)(x)
    count = Count()
    count.supports_masking = True
    count.compute_mask = lambda inputs, mask: None  # the result is one number a sample
    model = keras.Model(x, count(layers.Dropout(0.1)(h)))
    assert model(np.array([[1, 0, 0], [1, 2, 3]])).tolist() == [1.0, 3.0]


def test_several_call_arguments_and_their_shapes() -> None:
    class Pair(keras.Layer):
        def build(self, left_shape: Any, right_shape: Any) -> None:
            self.w = self.add_weight(shape=(left_shape[-1], right_shape[-1]))

        def call(self, left: Any, right: Any) -> Any:
            return ops.sum(ops.matmul(left, self.w) * right, axis=-1)

    pair = Pair()
    assert pair(X, right=np.ones((3, 2))).shape == (3,)
    assert pair.w.shape == (4, 2)


def test_a_mask_that_ends_is_said() -> None:
    class Plain(keras.Layer):
        def call(self, x: Any) -> Any:
            return x

    h = layers.Embedding(5, 2, mask_zero=True)(keras.Input((3,), dtype="int32"))
    with pytest.warns(UserWarning, match="mask of the inputs ends at layer 'plain'"):
        Plain(name="plain")(h)


@pytest.mark.parametrize("base", [keras.Layer, keras.Model])
def test_a_class_that_forgets_the_constructor_of_its_base(base: Any) -> None:
    class Forgetful(base):  # type: ignore[misc]  # an argument
        def __init__(self) -> None:
            self.dense = layers.Dense(2)

    with pytest.raises(RuntimeError, match=r"of Forgetful does not call super\(\)\.__init__\(\)"):
        Forgetful()


def test_a_layer_class_may_be_abstract() -> None:
    class Abstract(keras.Layer, abc.ABC):
        @abc.abstractmethod
        def call(self, inputs: Any) -> Any: ...

    with pytest.raises(TypeError, match="abstract"):
        Abstract()
