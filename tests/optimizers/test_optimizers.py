"""What optimizers do beyond numbers: the learning rate, configs, names, and errors."""

from __future__ import annotations

import numpy as np
import pytest

from graphkeras import optimizers
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.types import TensorType
from graphkeras.trace import Trace
from graphkeras.variables import Variable

CLASSES = [
    value
    for value in (getattr(optimizers, name) for name in optimizers.__all__)
    if isinstance(value, type)
    and issubclass(value, optimizers.Optimizer)
    and value is not optimizers.Optimizer
]
schedules = optimizers.schedules


def one_variable():
    return Variable(np.zeros(1, "float32"), name="w")


def compiled_step(optimizer, variable):
    """A function that runs one update of a graph traced once."""
    with Trace("update") as trace:
        gradient = trace.input(TensorType((1,)), "gradient")
        optimizer.apply([gradient], [variable])
        traced = trace.finish({})

    def step():
        arrays = [np.ones(1, "float32"), *(v.numpy() for v in traced.variables)]
        outputs = evaluate(traced.graph, arrays)
        for output, position in traced.graph.aliases.items():
            traced.variables[position - 1].assign(outputs[output])

    return step


def test_setting_the_learning_rate_reaches_a_traced_step():
    optimizer, variable = optimizers.SGD(0.5), one_variable()
    step = compiled_step(optimizer, variable)
    step()
    optimizer.learning_rate = 0.25
    step()
    np.testing.assert_allclose(variable.numpy(), [-0.75])
    assert float(optimizer.learning_rate) == 0.25


def test_a_schedule_follows_the_iterations_of_a_traced_step():
    optimizer = optimizers.SGD(schedules.PiecewiseConstantDecay([0, 1], [1.0, 0.1, 0.01]))
    variable = one_variable()
    step = compiled_step(optimizer, variable)
    for _ in range(3):
        step()
    np.testing.assert_allclose(variable.numpy(), [-1.11], rtol=1e-6)
    assert int(optimizer.iterations) == 3
    assert [v.name for v in optimizer.variables] == ["iteration"]


def test_a_schedule_in_the_place_of_a_number():
    optimizer = optimizers.SGD(0.5)
    optimizer.learning_rate = schedules.ExponentialDecay(0.2, 10, 0.5)
    np.testing.assert_allclose(optimizer.learning_rate, 0.2, rtol=1e-6)
    assert [v.name for v in optimizer.variables] == ["iteration"]
    with pytest.raises(TypeError, match="with a float `learning_rate`"):
        optimizer.learning_rate = 0.1


def test_a_function_as_learning_rate():
    optimizer, variable = optimizers.SGD(lambda: 0.5), one_variable()
    optimizer.apply([np.ones(1, "float32")], [variable])
    assert variable.numpy() == -0.5


def test_iterations_count_updates_of_accumulated_gradients():
    optimizer, variable = optimizers.SGD(1.0, gradient_accumulation_steps=2), one_variable()
    for gradient in (1.0, 3.0, 5.0):
        optimizer.apply([np.full(1, gradient, "float32")], [variable])
    assert variable.numpy() == -2.0
    assert int(optimizer.iterations) == 1


def test_loss_scaling_cancels():
    optimizer = optimizers.SGD(1.0, loss_scale_factor=4.0)
    assert optimizer.scale_loss(2.0) == 8.0
    assert optimizers.SGD().scale_loss(2.0) == 2.0


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_config_round_trip(cls):
    optimizer = cls(learning_rate=0.25, clipnorm=1.0, use_ema=True, ema_momentum=0.5, name="mine")
    config = optimizers.serialize(optimizer)
    copy = optimizers.deserialize(config)
    assert type(copy) is cls
    assert copy.get_config() == optimizer.get_config()
    assert copy.name == "mine"
    assert copy.clipnorm == 1.0


def test_config_with_a_schedule():
    optimizer = optimizers.Adam(schedules.CosineDecay(0.1, 100, warmup_target=0.2, warmup_steps=5))
    copy = optimizers.Adam.from_config(optimizer.get_config())
    assert copy.learning_rate == optimizer.learning_rate
    assert copy.get_config() == optimizer.get_config()


@pytest.mark.parametrize("name", ["adam", "Adam", "ADAM", "rmsprop", "sgd", "AdamW", "nadam"])
def test_names_in_any_case(name):
    optimizer = optimizers.get(name)
    assert type(optimizer).__name__.lower() == name.lower()


def test_identifiers():
    optimizer = optimizers.Adam()
    assert optimizers.get(optimizer) is optimizer
    assert optimizers.get(None) is None
    config = {"class_name": "adam", "config": {"learning_rate": 0.5}}
    assert float(optimizers.get(config).learning_rate) == 0.5


def test_unknown_name_suggests_the_right_one():
    with pytest.raises(ValueError, match=r"Unknown optimizer 'adm'\. Did you mean 'Adam'\?"):
        optimizers.get("adm")


def test_a_class_in_the_place_of_an_instance():
    with pytest.raises(ValueError, match=r"That is a class: write Adam\(\)"):
        optimizers.get(optimizers.Adam)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimizers.SGD(lr=0.1), r"by SGD: lr=0.1. Did you mean 'learning_rate'\?"),
        (lambda: optimizers.Adam(clip_norm=1.0), r"clip_norm=1.0. Did you mean 'clipnorm'\?"),
        (lambda: optimizers.Adam(learning_rate="fast"), "Received: learning_rate='fast'"),
        (lambda: optimizers.Adam(1), "should be a float.*Received: learning_rate=1"),
        (lambda: optimizers.SGD(momentum=2.0), r"float between \[0, 1\]. Received: momentum=2.0"),
        (lambda: optimizers.SGD(clipnorm=1.0, clipvalue=1.0), "Only one of `clipnorm`"),
        (lambda: optimizers.SGD(use_ema=True, ema_momentum=2.0), "ema_momentum=2.0"),
        (lambda: optimizers.SGD(use_ema=True, ema_overwrite_frequency=0.5), "frequency=0.5"),
        (lambda: optimizers.SGD(gradient_accumulation_steps=1), "integer >= 2"),
        (lambda: optimizers.AdamW(weight_decay=None), "weight_decay=None"),
        (lambda: optimizers.Lion(beta_1=0.0), "Received: beta_1=0.0"),
        (lambda: optimizers.Ftrl(l1_regularization_strength=-1.0), "strength=-1.0"),
        (lambda: optimizers.Ftrl(learning_rate_power=1.0), "learning_rate_power=1.0"),
    ],
)
def test_arguments_without_meaning(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_apply_names_what_is_wrong():
    optimizer, gradient = optimizers.Adam(), np.ones(1, "float32")
    with pytest.raises(ValueError, match=r"Call `optimizer.build\(trainable_variables\)` first"):
        optimizer.apply([gradient])
    optimizer.apply([gradient], [one_variable()])
    with pytest.raises(ValueError, match="Unknown variable: 'w'"):
        optimizer.apply([gradient], [one_variable()])
    with pytest.raises(ValueError, match="Received 2 gradients for 1 variables"):
        optimizer.apply([gradient, gradient])
    with pytest.raises(ValueError, match="No gradients provided for any variable"):
        optimizer.apply([None])
    with pytest.raises(ValueError, match="before the optimizer is built"):
        optimizer.exclude_from_weight_decay(var_names=["bias"])


def test_a_custom_optimizer():
    class SignDescent(optimizers.Optimizer):
        def __init__(self, learning_rate=0.5):
            super().__init__(learning_rate)

        def build(self, variables):
            super().build(variables)
            self.counts, self.sums = self.add_optimizer_variables(variables, ["count", "sum"])

        def update_step(self, gradient, variable, learning_rate):
            index = self._get_variable_index(variable)
            self.assign_add(self.counts[index], gradient * 0 + 1)
            self.assign_add(self.sums[index], gradient)
            self.assign_sub(variable, learning_rate * gradient / gradient)

    optimizer, variable = SignDescent(), one_variable()
    for _ in range(2):
        optimizer.apply([np.full(1, 4.0, "float32")], [variable])
    assert variable.numpy() == -1.0
    assert [float(v.numpy()[0]) for v in optimizer.variables[2:]] == [2.0, 8.0]
    assert optimizer.name == "sign_descent"
    assert optimizer.variables[2].path == "sign_descent/w_count"


def test_decay_of_keras_2_is_left_out_with_a_warning():
    with pytest.warns(UserWarning, match="`decay` is ignored") as records:
        assert optimizers.Adam(decay=0.1).weight_decay is None
    assert records[0].filename == __file__
