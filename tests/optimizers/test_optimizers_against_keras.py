"""Ten updates give Keras's weights, for every optimizer and option, at once and traced."""

from __future__ import annotations

import keras as real_keras
import numpy as np
import pytest

from graphkeras import constraints, optimizers
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.types import TensorType
from graphkeras.trace import Trace
from graphkeras.variables import Variable

SHAPES = [(4, 3), (3,)]
STEPS = 10

OWN = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("RMSprop", {}),
    ("RMSprop", {"rho": 0.8, "momentum": 0.5}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "epsilon": 1e-3}),
    ("Adam", {}),
    ("Adam", {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}),
    ("Adam", {"amsgrad": True}),
    ("AdamW", {}),
    ("AdamW", {"weight_decay": 0.1, "amsgrad": True}),
    ("Adamax", {}),
    ("Adagrad", {}),
    ("Adagrad", {"initial_accumulator_value": 0.5}),
    ("Adadelta", {"learning_rate": 1.0}),
    ("Nadam", {}),
    ("Nadam", {"beta_1": 0.8, "beta_2": 0.95}),
    ("Lion", {}),
    ("Ftrl", {"learning_rate": 0.1}),
    (
        "Ftrl",
        {
            "l1_regularization_strength": 0.01,
            "l2_regularization_strength": 0.1,
            "l2_shrinkage_regularization_strength": 0.05,
            "beta": 0.3,
            "learning_rate_power": -0.4,
        },
    ),
]
ALL = ["SGD", "RMSprop", "Adam", "AdamW", "Adamax", "Adagrad", "Adadelta", "Nadam", "Lion", "Ftrl"]
COMMON = [
    {"weight_decay": 0.05},
    {"clipnorm": 0.7},
    {"clipvalue": 0.3},
    {"global_clipnorm": 0.7},
    {"use_ema": True, "ema_momentum": 0.8},
    {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 3},
    {"loss_scale_factor": 8.0},
]


def start_values():
    rng = np.random.default_rng(3)
    return [rng.normal(size=s).astype("float32") for s in SHAPES]


def gradients():
    rng = np.random.default_rng(4)
    return [[rng.normal(size=s).astype("float32") for s in SHAPES] for _ in range(STEPS)]


def run_keras(optimizer, constraint=None, finalize=False):
    variables = [real_keras.Variable(v) for v in start_values()]
    variables[0].constraint = constraint
    for grads in gradients():
        optimizer.apply([real_keras.ops.convert_to_tensor(g) for g in grads], variables)
    if finalize:
        optimizer.finalize_variable_values(variables)
    return [np.asarray(v) for v in variables]


def run_eagerly(optimizer, constraint=None, finalize=False):
    variables = [Variable(v, name=f"v{i}") for i, v in enumerate(start_values())]
    variables[0].constraint = constraint
    for grads in gradients():
        optimizer.apply(grads, variables)
    if finalize:
        optimizer.finalize_variable_values(variables)
    return [v.numpy() for v in variables]


def trace_update(optimizer, variables):
    with Trace("update") as trace:
        grads = [
            trace.input(TensorType(v.shape, v.dtype), f"grad{i}") for i, v in enumerate(variables)
        ]
        optimizer.apply(grads, variables)
        return trace.finish({})


def run_step(traced, grads):
    state = [v.numpy() for v in traced.variables]
    outputs = evaluate(traced.graph, [*grads, *state])
    for output, position in traced.graph.aliases.items():
        traced.variables[position - len(grads)].assign(outputs[output])


def run_traced(optimizer):
    variables = [Variable(v, name=f"v{i}") for i, v in enumerate(start_values())]
    traced = trace_update(optimizer, variables)
    for grads in gradients():
        run_step(traced, grads)
    return [v.numpy() for v in variables]


def assert_same(actual, expected):
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-5, atol=2e-6)


def check(name, kwargs):
    expected = run_keras(getattr(real_keras.optimizers, name)(**kwargs))
    assert_same(run_eagerly(getattr(optimizers, name)(**kwargs)), expected)
    assert_same(run_traced(getattr(optimizers, name)(**kwargs)), expected)


@pytest.mark.parametrize(("name", "kwargs"), OWN, ids=str)
def test_own_arguments(name, kwargs):
    check(name, kwargs)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
@pytest.mark.parametrize("kwargs", COMMON, ids=str)
def test_common_arguments(name, kwargs):
    check(name, {"learning_rate": 0.05, **kwargs})


@pytest.mark.parametrize("name", ["SGD", "Nadam"])
def test_accumulated_gradients(name):
    check(
        name,
        {
            "learning_rate": 0.05,
            "weight_decay": 0.02,
            "clipnorm": 0.5,
            "use_ema": True,
            "ema_overwrite_frequency": 2,
            "gradient_accumulation_steps": 3,
        },
    )


@pytest.mark.parametrize("name", ALL)
def test_common_arguments_together(name):
    check(
        name,
        {
            "learning_rate": 0.05,
            "weight_decay": 0.02,
            "global_clipnorm": 1.0,
            "use_ema": True,
            "ema_overwrite_frequency": 2,
        },
    )


@pytest.mark.parametrize("name", ALL)
def test_slots_match(name):
    kwargs = {"use_ema": True, "gradient_accumulation_steps": 2 if name == "Adam" else None}
    theirs = getattr(real_keras.optimizers, name)(name="opt", **kwargs)
    ours = getattr(optimizers, name)(name="opt", **kwargs)
    run_keras(theirs)
    run_eagerly(ours)
    assert [v.shape for v in ours.variables] == [tuple(v.shape) for v in theirs.variables]
    for mine, other in zip(ours.variables, theirs.variables, strict=True):
        assert mine.dtype == other.dtype
        assert mine.name.rsplit("_", 1)[-1] == other.name.rsplit("_", 1)[-1] or name == "Nadam"
        np.testing.assert_allclose(mine.numpy(), np.asarray(other), rtol=1e-5, atol=2e-6)


def test_averages_replace_the_weights_at_the_end():
    kwargs = {"learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.7}
    expected = run_keras(real_keras.optimizers.Adam(**kwargs), finalize=True)
    assert_same(run_eagerly(optimizers.Adam(**kwargs), finalize=True), expected)


def test_constraints_hold_after_the_update():
    expected = run_keras(real_keras.optimizers.SGD(0.5), real_keras.constraints.NonNeg())
    actual = run_eagerly(optimizers.SGD(0.5), constraints.NonNeg())
    assert_same(actual, expected)
    assert actual[0].min() == 0.0


@pytest.mark.parametrize("by_name", [False, True])
def test_weights_excluded_from_decay(by_name):
    def decayed(module, variable_class):
        variables = [variable_class(v, name=f"v{i}") for i, v in enumerate(start_values())]
        optimizer = module.AdamW(learning_rate=0.1, weight_decay=0.5)
        if by_name:
            optimizer.exclude_from_weight_decay(var_names=["1$"])
        else:
            optimizer.exclude_from_weight_decay(var_list=[variables[0]])
        for grads in gradients():
            optimizer.apply(grads, variables)
        return [np.asarray(v) for v in variables]

    ours = decayed(optimizers, Variable)
    assert_same(ours, decayed(real_keras.optimizers, real_keras.Variable))


def test_a_missing_gradient_leaves_its_variable_alone():
    optimizer = optimizers.Adam(0.1)
    kept, changed = Variable(np.ones(2), name="kept"), Variable(np.ones(2), name="changed")
    with pytest.warns(UserWarning, match=r"do not exist for variables \['kept'\]"):
        optimizer.apply_gradients([(None, kept), (np.ones(2, "float32"), changed)])
    assert (kept.numpy() == 1).all()
    assert (changed.numpy() != 1).all()


def test_a_nan_gradient_shows_under_global_clipping():
    optimizer = optimizers.SGD(0.1, global_clipnorm=1.0)
    variables = [Variable(np.ones(2), name="a"), Variable(np.ones(2), name="b")]
    optimizer.apply([np.array([np.nan, 0], "float32"), np.ones(2, "float32")], variables)
    assert np.isnan(variables[1].numpy()).all()


def test_zero_gradients_survive_clipping():
    variables = [Variable(np.ones(2), name="a")]
    optimizers.SGD(0.1, clipnorm=1.0).apply([np.zeros(2, "float32")], variables)
    optimizers.SGD(0.1, global_clipnorm=1.0).apply([np.zeros(2, "float32")], variables)
    assert (variables[0].numpy() == 1).all()


def test_double_precision_weights_keep_their_dtype():
    variable = Variable(np.ones(3), dtype="float64", name="v")
    optimizers.Adam(0.1).apply([np.full(3, 0.5)], [variable])
    assert variable.dtype == "float64"
    other = real_keras.optimizers.Adam(0.1)
    theirs = real_keras.Variable(np.ones(3, "float32"))
    other.apply([np.full(3, 0.5, "float32")], [theirs])
    np.testing.assert_allclose(variable.numpy(), np.asarray(theirs), rtol=1e-6)
