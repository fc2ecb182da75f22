"""References and gradient rules against JAX, SciPy and published test vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from scipy import special

from graphkeras.ir import OPS, Builder, TensorType
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.op import Sample

FLOAT = {"rtol": 2e-5, "atol": 2e-5}


def apply(name: str, arrays: Sequence[np.ndarray], **attrs: Any) -> np.ndarray:
    """The reference of an op."""
    builder = Builder("t")
    values = [builder.input(TensorType(a.shape, str(a.dtype)), "x") for a in arrays]
    return evaluate(builder.build([builder.emit(name, *values, **attrs)]), arrays)[0]


def pullback(
    name: str, arrays: Sequence[np.ndarray], dy: np.ndarray, **attrs: Any
) -> list[np.ndarray]:
    """The cotangents of the operands by the op's gradient rule."""
    builder = Builder("t")
    values = [builder.input(TensorType(a.shape, str(a.dtype)), "x") for a in arrays]
    node = builder.emit(name, *values, **attrs).producer
    rule = OPS[name].gradient
    assert node is not None
    assert rule is not None
    found = rule(builder, node, [builder.input(node.result.type, "dy")])
    return list(evaluate(builder.build([c for c in found if c is not None]), [*arrays, dy]))


def agrees_with_jax(
    name: str, sample: Sample, function: Callable[..., Any], gradient: bool = True
) -> None:
    """Compares reference and gradient rule with a JAX function of the operands."""
    rng = np.random.default_rng(3)
    arrays = list(sample.make(rng))
    expected, vjp = jax.vjp(function, *arrays)
    np.testing.assert_allclose(apply(name, arrays, **sample.attrs), expected, **FLOAT)
    if gradient:
        dy = np.asarray(rng.standard_normal(expected.shape), "float32")
        ours = pullback(name, arrays, dy, **sample.attrs)
        theirs = [g for g in vjp(jnp.asarray(dy)) if g.dtype == jnp.float32]
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine, other, **FLOAT)


def samples(name: str) -> list[Any]:
    """The float samples of an op as test parameters."""
    return [
        pytest.param(sample, id=sample.label or str(i))
        for i, sample in enumerate(OPS[name].samples)
        if sample.make(np.random.default_rng(0))[0].dtype == np.float32 and sample.differentiable
    ]


@pytest.mark.parametrize("sample", samples("conv"))
def test_conv(sample: Sample) -> None:
    space = "DHW"[-len(sample.attrs["strides"]) :]
    layout = (f"N{space}C", f"{space}IO", f"N{space}C")

    def conv(x: jax.Array, w: jax.Array) -> jax.Array:
        a = sample.attrs
        return lax.conv_general_dilated(
            x,
            w,
            a["strides"],
            a["padding"],
            a["lhs_dilation"],
            a["rhs_dilation"],
            layout,
            a["groups"],
        )

    agrees_with_jax("conv", sample, conv)


@pytest.mark.parametrize("sample", samples("dot_general"))
def test_dot_general(sample: Sample) -> None:
    a = sample.attrs
    dims = ((a["lhs_contract"], a["rhs_contract"]), (a["lhs_batch"], a["rhs_batch"]))
    agrees_with_jax("dot_general", sample, lambda x, y: lax.dot_general(x, y, dims))


@pytest.mark.parametrize("sample", samples("window_max"))
def test_window_max(sample: Sample) -> None:
    a = sample.attrs
    agrees_with_jax(
        "window_max",
        sample,
        lambda x: lax.reduce_window(x, -jnp.inf, lax.max, *a.values()),
        gradient=all(low >= 0 and high >= 0 for low, high in a["padding"]),
    )


@pytest.mark.parametrize("sample", samples("window_sum"))
def test_window_sum(sample: Sample) -> None:
    a = sample.attrs
    agrees_with_jax("window_sum", sample, lambda x: lax.reduce_window(x, 0.0, lax.add, *a.values()))


def test_first_of_equal_maxima_takes_the_gradient_of_its_window() -> None:
    x = np.array([[5, 1, 5, 5, 5]], "float32")
    dy = np.array([[1, 10, 100]], "float32")
    attrs = {"window": (1, 3), "strides": (1, 1), "padding": ((0, 0), (0, 0))}
    np.testing.assert_array_equal(apply("window_max_grad", [x, dy], **attrs), [[1, 0, 110, 0, 0]])
    np.testing.assert_array_equal(pullback("window_max", [x], dy, **attrs), [[[1, 0, 110, 0, 0]]])


def test_places_of_the_winners() -> None:
    x = np.array([[np.nan, 1, 5, 5, 0, -0.0, 2]], "float32")
    attrs = {"window": (1, 2), "strides": (1, 2), "padding": ((0, 0), (1, 0))}
    largest = apply("window_max", [x], **attrs)
    np.testing.assert_array_equal(largest, [[np.nan, 5, 5, 2]])
    winners = apply("window_argmax", [x, largest], **attrs)
    np.testing.assert_array_equal(winners, [[1, 1, 0, 1]])
    dy = np.array([[1, 2, 3, np.inf]], "float32")
    dx = apply("window_scatter", [dy, winners], shape=(1, 7), **attrs)
    np.testing.assert_array_equal(dx, [[1, 0, 2, 3, 0, 0, np.inf]])


@pytest.mark.parametrize("sample", OPS["window_max"].samples[:8], ids=lambda s: s.label)
def test_both_ways_to_the_gradient_of_a_maximum_agree(sample: Sample) -> None:
    rng = np.random.default_rng(5)
    (x,) = sample.make(rng)
    x = np.where(rng.random(x.shape) < 0.1, np.float32(np.nan), np.round(x))
    dy = np.asarray(rng.standard_normal(apply("window_max", [x], **sample.attrs).shape), "float32")
    (ours,) = pullback("window_max", [x], dy, **sample.attrs)
    np.testing.assert_array_equal(ours, apply("window_max_grad", [x, dy], **sample.attrs))


def test_large_windows_are_searched_again_for_the_gradient() -> None:
    builder = Builder("t")
    y = builder.emit(
        "window_max",
        builder.input(TensorType((2, 40, 3)), "x"),
        window=(1, 33, 1),
        strides=(1, 33, 1),
        padding=((0, 0),) * 3,
    )
    rule = OPS["window_max"].gradient
    assert y.producer is not None
    assert rule is not None
    (dx,) = rule(builder, y.producer, [builder.input(y.type, "dy")])
    assert dx is not None
    assert dx.producer is not None
    assert dx.producer.op == "window_max_grad"


@pytest.mark.parametrize("sample", samples("pad"))
def test_pad(sample: Sample) -> None:
    a = sample.attrs
    config = list(zip(a["low"], a["high"], a["interior"], strict=True))
    agrees_with_jax("pad", sample, lambda x, value: lax.pad(x, value, config))


@pytest.mark.parametrize("sample", samples("gather"))
def test_gather(sample: Sample) -> None:
    arrays = list(sample.make(np.random.default_rng(0)))
    axis = sample.attrs["axis"]
    expected, vjp = jax.vjp(lambda x: jnp.take(x, arrays[1], axis, mode="clip"), arrays[0])
    np.testing.assert_array_equal(apply("gather", arrays, axis=axis), expected)
    dy = np.asarray(np.random.default_rng(1).standard_normal(expected.shape), "float32")
    np.testing.assert_allclose(pullback("gather", arrays, dy, axis=axis)[0], vjp(dy)[0], **FLOAT)


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "cummax"])
@pytest.mark.parametrize("reverse", [False, True])
def test_cumulative(name: str, reverse: bool) -> None:
    sample = Sample(OPS[name].samples[2].make, {"axis": 1, "reverse": reverse})
    agrees_with_jax(name, sample, lambda x: getattr(lax, name)(x, 1, reverse))


@pytest.mark.parametrize("name", ["reduce_max", "reduce_min", "reduce_sum", "reduce_prod"])
def test_reductions_with_ties_and_zeros(name: str) -> None:
    ties = np.array([[1, 3, 3, 0], [0, 0, 2, 2], [-1, -1, -1, -1]], "float32")
    function = getattr(jnp, name.removeprefix("reduce_"))
    agrees_with_jax(name, Sample(lambda rng: [ties], {"axes": (1,)}), lambda x: function(x, axis=1))


@pytest.mark.parametrize(
    ("name", "function"), [("max", jnp.maximum), ("min", jnp.minimum)], ids=["max", "min"]
)
def test_equal_operands_share_the_gradient(name: str, function: Callable[..., Any]) -> None:
    operands = [np.array([1, 2, 3], "float32"), np.array([2, 2, 2], "float32")]
    agrees_with_jax(name, Sample(lambda rng: operands), function)


def test_power_has_finite_gradients_at_zero() -> None:
    base = np.array([0, 2, -2, 3], "float32")
    exponent = np.array([2, 0, 2, -1], "float32")
    dy = np.ones(4, "float32")
    expected = jax.vjp(jnp.power, base, exponent)[1](jnp.asarray(dy))
    for ours, theirs in zip(pullback("pow", [base, exponent], dy), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, **FLOAT)
    zero = np.zeros(1, "float32")
    assert [g.item() for g in pullback("pow", [zero, zero], zero + 1)] == [0, 0]


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("erf", special.erf),
        ("logistic", special.expit),
        ("rsqrt", lambda x: 1 / np.sqrt(x)),
        ("round", lambda x: np.array([round(v) for v in x], float)),
        ("sign", lambda x: (x > 0) * 1.0 - (x < 0)),
    ],
)
def test_unary_against_an_independent_formula(
    name: str, function: Callable[[np.ndarray], np.ndarray]
) -> None:
    x = np.linspace(-6, 6, 49).astype("float32")
    x = np.abs(x) + np.float32(0.1) if name == "rsqrt" else x
    result = apply(name, [x])
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, function(x.astype("float64")), rtol=1e-6, atol=1e-6)


def test_logistic_is_finite_far_out() -> None:
    x = np.array([-1e4, -104, 104, 1e4], "float32")
    np.testing.assert_array_equal(apply("logistic", [x]), [0, 0, 1, 1])


@pytest.mark.parametrize("descending", [False, True])
def test_argsort_is_stable_and_puts_nan_last(descending: bool) -> None:
    x = np.array([2, np.nan, 1, 2, np.inf, 1, -np.inf, np.nan], "float32")
    sign = -1 if descending else 1
    expected = sorted(
        range(8), key=lambda i: (np.isnan(x[i]), 0 if np.isnan(x[i]) else sign * x[i])
    )
    result = apply("argsort", [x], axis=0, descending=descending)
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == np.int32


# random bits


def philox(counter: tuple[int, int], key: int) -> tuple[int, int]:
    """Philox-2x32 with 10 rounds on Python numbers, as the paper states it."""
    low, high = counter
    for _ in range(10):
        wide = 0xD256D193 * low
        low, high = (wide >> 32) ^ key ^ high, wide & 0xFFFFFFFF
        key = (key + 0x9E3779B9) & 0xFFFFFFFF
    return low, high


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0), 0, (0xFF1DAE59, 0x6CD10DF2)),
        ((0xFFFFFFFF, 0xFFFFFFFF), 0xFFFFFFFF, (0x2C3F628B, 0xAB4FD7AD)),
        ((0x243F6A88, 0x85A308D3), 0x13198A2E, (0xDD7CE038, 0xF62A4C12)),
    ],
)
def test_philox_of_this_file_gives_the_published_vectors(
    counter: tuple[int, int], key: int, expected: tuple[int, int]
) -> None:
    assert philox(counter, key) == expected


def test_random_bits_are_philox_words_of_the_position() -> None:
    key = np.array([0x13198A2E, 0x85A308D3], "uint32")
    bits = apply("random_bits", [key], shape=(6, 7)).reshape(-1)
    assert [int(v) for v in bits] == [philox((i, int(key[1])), int(key[0]))[0] for i in range(42)]


def test_random_bits_do_not_depend_on_the_shape() -> None:
    key = np.array([1, 2], "uint32")
    line, square = (apply("random_bits", [key], shape=s) for s in ((100,), (10, 10)))
    np.testing.assert_array_equal(line, square.reshape(-1))


@pytest.mark.parametrize("key", [[0, 0], [0, 1], [1, 0], [7, 7]])
def test_random_bits_are_balanced(key: list[int]) -> None:
    bits = apply("random_bits", [np.array(key, "uint32")], shape=(20000,))
    ones = np.unpackbits(bits.view("uint8")).reshape(-1, 32).mean(0)
    assert np.abs(ones - 0.5).max() < 0.02
    uniform = bits / 2**32
    assert abs(np.corrcoef(uniform[:-1], uniform[1:])[0, 1]) < 0.03
