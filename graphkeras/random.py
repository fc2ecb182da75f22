"""`keras.random`: random tensors from counter-based generators.

Every number is a function of a key and its position, so a graph that draws numbers is still
pure, and gives the same numbers on any number of threads. A `SeedGenerator` holds the key: a
seed, and a counter that grows by one with each draw.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

from graphkeras.locks import fork_safe
from graphkeras.names import auto_name
from graphkeras.ops._common import TensorLike, expand_to, scalar_like, static
from graphkeras.ops.creation import dims_of
from graphkeras.ops.elementwise import erfinv
from graphkeras.trace import Tensor, as_tensor, cast_to, emit, op, standardize_dtype
from graphkeras.variables import Variable

_UINT32 = 0xFFFFFFFF


class SeedGenerator:
    """A stream of keys; each draw takes the next one.

    Args:
        seed: an integer, or None for one drawn from the global generator, which
            `keras.utils.set_random_seed` makes reproducible.
        name: name; made up by default.

    Raises:
        ValueError: where the seed is no integer or is negative.
    """

    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs: Any) -> None:
        if kwargs:
            raise ValueError(f"SeedGenerator: unknown arguments {sorted(kwargs)}")
        self.name = name or auto_name("seed_generator")
        if seed is None:
            seed = make_default_seed()
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise ValueError(
                f"seed must be an integer or None, received {seed!r} of type {type(seed).__name__}"
            )
        if seed < 0:
            raise ValueError(f"seed must not be negative, received {seed}")
        self._initial_seed = int(seed)
        self.state = Variable(
            _key(self._initial_seed),
            dtype="uint32",
            trainable=False,
            name="seed_generator_state",
        )

    def next(self) -> Any:
        """The key of this draw; the state moves on to the next."""
        return _next_key(self)

    def get_config(self) -> dict[str, Any]:
        """The seed."""
        return {"seed": self._initial_seed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        """A generator like the one the config is of."""
        return cls(**config)


@op
def _next_key(generator: SeedGenerator) -> Tensor:
    state = as_tensor(generator.state)
    step = as_tensor(np.array([0, 1], dtype=np.uint32))
    generator.state.assign(emit("add", state, step))
    return state


def _key(seed: int) -> Any:
    """A seed of any size as two words; the second is where the counter starts."""
    return np.array([(seed ^ (seed >> 32)) & _UINT32, (seed >> 32) & _UINT32], dtype=np.uint32)


class _Global:
    """The generator behind `seed=None`, and the seeds of initializers."""

    def __init__(self) -> None:
        self.lock = fork_safe(threading.Lock())
        self.numpy: np.random.Generator | None = None
        """Made at the first draw: loading NumPy's generators takes 15 ms."""
        self.generator: SeedGenerator | None = None


_global = _Global()


def make_default_seed() -> int:
    """The next seed of the global stream."""
    with _global.lock:
        if _global.numpy is None:
            _global.numpy = np.random.default_rng()
        return int(_global.numpy.integers(0, 2**31 - 1))


def set_global_seed(seed: int) -> None:
    """Restarts the global stream: everything with `seed=None` is reproducible from here."""
    with _global.lock:
        _global.numpy = np.random.default_rng(seed)
        _global.generator = None


def global_seed_generator() -> SeedGenerator:
    """The generator that draws with `seed=None` use."""
    if _global.generator is None:
        _global.generator = SeedGenerator(name="global_seed_generator")
    return _global.generator


def draw_key(seed: int | SeedGenerator | None) -> Any:
    """The key of a draw: of an integer always the same, of a generator the next one."""
    if seed is None:
        return global_seed_generator().next()
    if isinstance(seed, SeedGenerator):
        return seed.next()
    if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool):
        return as_tensor(_key(int(seed)))
    raise ValueError(f"seed must be an integer, a SeedGenerator or None, received {seed!r}")


def _bits(shape: Any, seed: int | SeedGenerator | None) -> Tensor:
    return emit("random_bits", draw_key(seed), shape=dims_of(shape))


def _unit(shape: Any, seed: int | SeedGenerator | None, dtype: str) -> Tensor:
    """Uniform numbers of `[0, 1)` with 24 random bits."""
    bits = _bits(shape, seed)
    high = emit("shift_right", bits, scalar_like(bits, 8))
    number = cast_to(high, dtype)
    return emit("mul", number, scalar_like(number, 2.0**-24))


def _open_unit(shape: Any, seed: int | SeedGenerator | None, dtype: str) -> Tensor:
    """Uniform numbers inside `(0, 1)`, symmetric about one half."""
    bits = _bits(shape, seed)
    high = cast_to(emit("shift_right", bits, scalar_like(bits, 9)), dtype)
    centred = emit("add", high, scalar_like(high, 0.5))
    return emit("mul", centred, scalar_like(high, 2.0**-23))


def _float_dtype(dtype: Any, name: str) -> str:
    chosen = standardize_dtype(dtype)
    if not chosen.startswith("float"):
        raise ValueError(
            f"keras.random.{name} makes floating-point numbers, received dtype={dtype}"
        )
    return chosen


def _scaled(x: Tensor, factor: Any, offset: Any) -> Tensor:
    scaled = emit("mul", x, scalar_like(x, factor))
    return emit("add", scaled, scalar_like(x, offset))


@op
def uniform(
    shape: Any,
    minval: float = 0.0,
    maxval: float = 1.0,
    dtype: Any = None,
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """Numbers spread evenly over `[minval, maxval)`.

    Args:
        shape: shape; may hold run-time sizes from `ops.shape`.
        minval: lower bound.
        maxval: upper bound.
        dtype: float dtype, floatx by default.
        seed: an integer (always the same numbers), a `SeedGenerator`, or None.
    """
    unit = _unit(shape, seed, _float_dtype(dtype, "uniform"))
    width = emit("sub", as_tensor(maxval, unit.dtype), as_tensor(minval, unit.dtype))
    return _scaled(unit, width, minval)


@op
def normal(
    shape: Any,
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: Any = None,
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """Numbers of the normal distribution.

    Args:
        shape: shape; may hold run-time sizes from `ops.shape`.
        mean: mean.
        stddev: standard deviation.
        dtype: float dtype, floatx by default.
        seed: an integer (always the same numbers), a `SeedGenerator`, or None.
    """
    unit = _open_unit(shape, seed, _float_dtype(dtype, "normal"))
    return _scaled(_quantile(unit), stddev, mean)


def _quantile(unit: Tensor) -> Tensor:
    """The standard normal quantile: `sqrt(2) * erfinv(2 * unit - 1)`."""
    turned = emit("mul", unit, scalar_like(unit, 2.0))
    turned = emit("sub", turned, scalar_like(unit, 1.0))
    return emit("mul", erfinv(turned), scalar_like(unit, math.sqrt(2.0)))


@op
def truncated_normal(
    shape: Any,
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: Any = None,
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """Numbers of the normal distribution without those beyond two standard deviations.

    Args:
        shape: shape; may hold run-time sizes from `ops.shape`.
        mean: mean.
        stddev: standard deviation before truncation.
        dtype: float dtype, floatx by default.
        seed: an integer (always the same numbers), a `SeedGenerator`, or None.
    """
    unit = _open_unit(shape, seed, _float_dtype(dtype, "truncated_normal"))
    low = 0.5 * (1.0 + math.erf(-math.sqrt(2.0)))
    inside = _scaled(unit, 1.0 - 2.0 * low, low)
    return _scaled(_quantile(inside), stddev, mean)


@op
def randint(
    shape: Any,
    minval: int,
    maxval: int,
    dtype: Any = "int32",
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """Whole numbers from `minval` up to but without `maxval`.

    Raises:
        ValueError: where the range is empty or the dtype is no integer.
    """
    chosen = standardize_dtype(dtype)
    if "int" not in chosen:
        raise ValueError(f"keras.random.randint makes integers, received dtype={dtype}")
    span = static(maxval, "maxval") - static(minval, "minval")
    if not 0 < span <= _UINT32:
        raise ValueError(f"randint: the range [{minval}, {maxval}) is empty or too wide")
    bits = _bits(shape, seed)
    offset = cast_to(emit("mod", bits, scalar_like(bits, span)), chosen)
    return emit("add", offset, scalar_like(offset, minval))


@op
def dropout(
    inputs: TensorLike,
    rate: float,
    noise_shape: Any = None,
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """Sets a random part of the elements to 0 and scales the others by `1 / (1 - rate)`.

    Args:
        inputs: floating-point tensor.
        rate: the part to drop, in `[0, 1)`.
        noise_shape: shape of the random mask, broadcast to the inputs; None entries take the
            size of the inputs.
        seed: an integer (always the same elements), a `SeedGenerator`, or None.
    """
    x = as_tensor(inputs)
    shape = x.dims
    if noise_shape is not None:
        shape = tuple(d if n is None else n for n, d in zip(noise_shape, x.dims, strict=True))
    keep = 1.0 - rate
    unit = _unit(shape, seed, x.dtype)
    kept = expand_to(emit("lt", unit, scalar_like(unit, keep)), x.dims)
    scaled = emit("mul", x, scalar_like(x, 1.0 / keep))
    return emit("select", kept, scaled, scalar_like(x, 0))


@op
def categorical(
    logits: TensorLike,
    num_samples: int,
    dtype: Any = "int32",
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """Class numbers drawn by their logits.

    Args:
        logits: unnormalised log probabilities, shape `(batch, classes)`.
        num_samples: draws a row.
        dtype: integer dtype of the result.
        seed: an integer (always the same classes), a `SeedGenerator`, or None.

    Returns:
        Tensor of shape `(batch, num_samples)`.
    """
    from graphkeras.ops.reduction import argmax

    scores = as_tensor(logits)
    batch, classes = scores.dims
    shape = (batch, num_samples, classes)
    unit = _open_unit(shape, seed, scores.dtype)
    gumbel = emit("neg", emit("log", emit("neg", emit("log", unit))))
    spread = emit("broadcast", scores, shape=shape, dims=(0, 2))
    return cast_to(argmax(emit("add", spread, gumbel), axis=-1), standardize_dtype(dtype))


@op
def shuffle(x: TensorLike, axis: int = 0, seed: int | SeedGenerator | None = None) -> Tensor:
    """The slices along an axis in random order."""
    tensor = as_tensor(x)
    axis = axis % len(tensor.dims)
    bits = _bits((tensor.dims[axis],), seed)
    order = emit("argsort", bits, axis=0, descending=False)
    return emit("gather", tensor, order, axis=axis)
