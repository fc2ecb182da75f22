"""`keras.initializers`: the first values of weights.

An initializer is a function `(shape, dtype) -> array`. Random ones draw from a NumPy generator
with a seed of their own, so a given seed always gives the same values; with `seed=None` the seed
comes from the global stream, which `keras.utils.set_random_seed` restarts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphkeras.ir.op import Array
from graphkeras.names import to_snake_case
from graphkeras.random import SeedGenerator, make_default_seed
from graphkeras.registry import Registry
from graphkeras.trace.dtypes import standardize_dtype

Shape = Sequence[int]


class Initializer:
    """Base class. Subclasses define `__call__(shape, dtype=None)` and `get_config`."""

    def __call__(self, shape: Shape, dtype: Any = None, **kwargs: Any) -> Any:
        """The first value of a weight.

        Args:
            shape: shape of the weight.
            dtype: dtype name, floatx by default.
            **kwargs: ignored by the built-in initializers.
        """
        raise NotImplementedError(
            f"the initializer {type(self).__name__} must define __call__(self, shape, dtype=None)"
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal initializer."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        """An initializer like the one the config is of."""
        return cls(**config)

    def clone(self) -> Initializer:
        """An equal initializer."""
        return self.from_config(self.get_config())


class Zeros(Initializer):
    """All 0."""

    def __call__(self, shape: Shape, dtype: Any = None, **kwargs: Any) -> Array:
        """Zeros of a shape."""
        return np.zeros(shape, standardize_dtype(dtype))


class Ones(Initializer):
    """All 1."""

    def __call__(self, shape: Shape, dtype: Any = None, **kwargs: Any) -> Array:
        """Ones of a shape."""
        return np.ones(shape, standardize_dtype(dtype))


class Constant(Initializer):
    """One value everywhere.

    Args:
        value: a number, or an array that broadcasts to the shape.
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Shape, dtype: Any = None, **kwargs: Any) -> Array:
        """The value, spread over a shape."""
        array = np.asarray(self.value, standardize_dtype(dtype))
        return np.array(np.broadcast_to(array, tuple(shape)))

    def get_config(self) -> dict[str, Any]:
        """The value."""
        return {"value": self.value}


class Identity(Initializer):
    """The identity matrix, times `gain`; the shape must have two dimensions.

    Args:
        gain: factor.
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Shape, dtype: Any = None, **kwargs: Any) -> Array:
        """Ones on the diagonal. Raises `ValueError` where the shape is no matrix's."""
        if len(shape) != 2:
            raise ValueError(
                f"Identity makes matrices: it needs a shape of rank 2, received {tuple(shape)} "
                f"of rank {len(shape)}"
            )
        return np.asarray(self.gain * np.eye(shape[0], shape[1]), standardize_dtype(dtype))

    def get_config(self) -> dict[str, Any]:
        """The gain."""
        return {"gain": self.gain}


class RandomInitializer(Initializer):
    """Base of initializers with a seed.

    Args:
        seed: an integer, a `SeedGenerator`, or None for one from the global stream. Of an
            integer or None each call of the same initializer gives the same values, as in Keras.
    """

    def __init__(self, seed: int | SeedGenerator | dict[str, Any] | None = None) -> None:
        if isinstance(seed, dict):
            seed = SeedGenerator.from_config(seed["config"])
        self._given_seed = seed
        self.seed: Any = make_default_seed() if seed is None else seed
        if not isinstance(self.seed, (int, np.integer, SeedGenerator)):
            raise ValueError(
                f"seed must be an integer, a keras.random.SeedGenerator or None, received {seed!r}"
            )

    def generator(self) -> np.random.Generator:
        """A NumPy generator at the start of this initializer's stream."""
        if isinstance(self.seed, SeedGenerator):
            return np.random.default_rng([int(word) for word in self.seed.next()])
        return np.random.default_rng(int(self.seed))

    def get_config(self) -> dict[str, Any]:
        """The seed as it was given."""
        seed = self._given_seed
        return {"seed": _seed_config(seed)}


def _seed_config(seed: int | SeedGenerator | None) -> Any:
    if not isinstance(seed, SeedGenerator):
        return seed
    return {
        "module": "keras.random",
        "class_name": "SeedGenerator",
        "config": seed.get_config(),
        "registered_name": None,
    }


class RandomNormal(RandomInitializer):
    """The normal distribution.

    Args:
        mean: mean.
        stddev: standard deviation.
        seed: see `RandomInitializer`.
    """

    def __init__(
        self, mean: float = 0.0, stddev: float = 0.05, seed: int | SeedGenerator | None = None
    ) -> None:
        self.mean = mean
        self.stddev = stddev
        super().__init__(seed)

    def __call__(self, shape: Shape, dtype: Any = None, **kwargs: Any) -> Array:
        """Normal numbers of a shape."""
        values = self.generator().normal(self.mean, self.stddev, tuple(shape))
        return values.astype(standardize_dtype(dtype))

    def get_config(self) -> dict[str, Any]:
        """Mean, standard deviation and seed."""
        return {"mean": self.mean, "stddev": self.stddev, **super().get_config()}


class TruncatedNormal(RandomNormal):
    """The normal distribution without values beyond two standard deviations.

    Args:
        mean: mean.
        stddev: standard deviation before truncation.
        seed: see `RandomInitializer`.
    """

    def __call__(self, shape: Shape, dtype: Any = None, **kwargs: Any) -> Array:
        """Truncated normal numbers of a shape."""
        values = self.mean + self.stddev * truncated_normal(self.generator(), tuple(shape))
        return values.astype(standardize_dtype(dtype))


class RandomUniform(RandomInitializer):
    """Numbers spread evenly over `[minval, maxval)`.

    Args:
        minval: lower bound.
        maxval: upper bound.
        seed: see `RandomInitializer`.
    """

    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | SeedGenerator | None = None
    ) -> None:
        self.minval = minval
        self.maxval = maxval
        super().__init__(seed)

    def __call__(self, shape: Shape, dtype: Any = None, **kwargs: Any) -> Array:
        """Uniform numbers of a shape."""
        values = self.generator().uniform(self.minval, self.maxval, tuple(shape))
        return values.astype(standardize_dtype(dtype))

    def get_config(self) -> dict[str, Any]:
        """Bounds and seed."""
        return {"minval": self.minval, "maxval": self.maxval, **super().get_config()}


def truncated_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Standard normal numbers, drawn again where they are beyond 2."""
    values = np.asarray(generator.standard_normal(shape))
    outside = np.abs(values) > 2.0
    while outside.any():
        values[outside] = generator.standard_normal(int(outside.sum()))
        outside = np.abs(values) > 2.0
    return values


def compute_fans(shape: Shape) -> tuple[int, int]:
    """Inputs and outputs of a unit, from the shape of its weights.

    A vector counts as both. In a convolution's kernel `(*window, in, out)` every element of the
    window is an input of its own.
    """
    sizes = tuple(shape)
    if len(sizes) < 1:
        return 1, 1
    if len(sizes) == 1:
        return sizes[0], sizes[0]
    window = math.prod(sizes[:-2])
    return sizes[-2] * window, sizes[-1] * window


class VarianceScaling(RandomInitializer):
    """Random values whose variance is `scale / fan` (Glorot and Bengio, 2010; He et al., 2015).

    Args:
        scale: positive factor.
        mode: `"fan_in"`, `"fan_out"` or `"fan_avg"`.
        distribution: `"truncated_normal"`, `"untruncated_normal"` or `"uniform"`.
        seed: see `RandomInitializer`.

    Raises:
        ValueError: for values outside these.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | SeedGenerator | None = None,
    ) -> None:
        modes = ("fan_in", "fan_out", "fan_avg")
        distributions = ("uniform", "truncated_normal", "untruncated_normal")
        if scale <= 0.0:
            raise ValueError(f"scale must be positive, received scale={scale}")
        if mode not in modes:
            raise ValueError(f"mode must be one of {', '.join(modes)}, received mode={mode!r}")
        distribution = distribution.lower()
        if distribution == "normal":
            distribution = "truncated_normal"
        if distribution not in distributions:
            raise ValueError(
                f"distribution must be one of {', '.join(distributions)}, received {distribution!r}"
            )
        self.scale = scale
        self.mode = mode
        self.distribution = distribution
        super().__init__(seed)

    def __call__(self, shape: Shape, dtype: Any = None, **kwargs: Any) -> Array:
        """Random numbers of a shape, scaled by its fans."""
        fan_in, fan_out = compute_fans(shape)
        fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2.0}
        variance = self.scale / max(1.0, fans[self.mode])
        generator, sizes = self.generator(), tuple(shape)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            values = generator.uniform(-limit, limit, sizes)
        elif self.distribution == "untruncated_normal":
            values = generator.normal(0.0, math.sqrt(variance), sizes)
        else:
            # Cutting at two standard deviations lowers the deviation to this factor.
            spread = math.sqrt(variance) / 0.87962566103423978
            values = spread * truncated_normal(generator, sizes)
        return np.asarray(values).astype(standardize_dtype(dtype))

    def get_config(self) -> dict[str, Any]:
        """Scale, mode, distribution and seed."""
        return {
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            **super().get_config(),
        }


class _NamedScaling(VarianceScaling):
    """A `VarianceScaling` with fixed arguments; only the seed is free."""

    fixed: tuple[float, str, str]

    def __init__(self, seed: int | SeedGenerator | None = None) -> None:
        super().__init__(*self.fixed, seed=seed)

    def get_config(self) -> dict[str, Any]:
        """The seed."""
        return {"seed": super().get_config()["seed"]}


class GlorotUniform(_NamedScaling):
    """Uniform in `+-sqrt(6 / (fan_in + fan_out))` (Glorot and Bengio, 2010)."""

    fixed = (1.0, "fan_avg", "uniform")


class GlorotNormal(_NamedScaling):
    """Truncated normal of variance `2 / (fan_in + fan_out)` (Glorot and Bengio, 2010)."""

    fixed = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_NamedScaling):
    """Uniform in `+-sqrt(6 / fan_in)` (He et al., 2015)."""

    fixed = (2.0, "fan_in", "uniform")


class HeNormal(_NamedScaling):
    """Truncated normal of variance `2 / fan_in` (He et al., 2015)."""

    fixed = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_NamedScaling):
    """Uniform in `+-sqrt(3 / fan_in)` (LeCun et al., 1998)."""

    fixed = (1.0, "fan_in", "uniform")


class LecunNormal(_NamedScaling):
    """Truncated normal of variance `1 / fan_in` (LeCun et al., 1998)."""

    fixed = (1.0, "fan_in", "truncated_normal")


class Orthogonal(RandomInitializer):
    """A random matrix with orthogonal rows or columns (Saxe et al., 2014).

    Args:
        gain: factor.
        seed: see `RandomInitializer`.
    """

    def __init__(self, gain: float = 1.0, seed: int | SeedGenerator | None = None) -> None:
        self.gain = gain
        super().__init__(seed)

    def __call__(self, shape: Shape, dtype: Any = None, **kwargs: Any) -> Array:
        """The matrix, all axes but the last taken together as rows. Raises `ValueError`."""
        if len(shape) < 2:
            raise ValueError(
                f"Orthogonal needs a shape of rank 2 or more, received {tuple(shape)} of rank "
                f"{len(shape)}"
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        flat = self.generator().standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(flat)
        # Fixing the signs makes the distribution uniform over all orthogonal matrices.
        q *= np.sign(np.diag(r))
        q = q.T if rows < columns else q
        return (self.gain * q.reshape(tuple(shape))).astype(standardize_dtype(dtype))

    def get_config(self) -> dict[str, Any]:
        """Gain and seed."""
        return {"gain": self.gain, **super().get_config()}


OrthogonalInitializer = Orthogonal
IdentityInitializer = Identity

# Keras exports the classes under these names as well.
zeros = Zeros
ones = Ones
constant = Constant
identity = Identity
random_normal = RandomNormal
random_uniform = RandomUniform
variance_scaling = VarianceScaling
glorot_uniform = GlorotUniform
glorot_normal = GlorotNormal
he_uniform = HeUniform
he_normal = HeNormal
lecun_uniform = LecunUniform
lecun_normal = LecunNormal
orthogonal = Orthogonal

_CLASSES: tuple[type[Initializer], ...] = (
    Zeros,
    Ones,
    Constant,
    Identity,
    RandomNormal,
    TruncatedNormal,
    RandomUniform,
    VarianceScaling,
    GlorotUniform,
    GlorotNormal,
    HeUniform,
    HeNormal,
    LecunUniform,
    LecunNormal,
    Orthogonal,
)
_registry = Registry(
    "initializer",
    "keras.initializers",
    {
        **{to_snake_case(c.__name__): c for c in _CLASSES},
        **{c.__name__: c for c in _CLASSES},
        "IdentityInitializer": Identity,
        "OrthogonalInitializer": Orthogonal,
        "normal": RandomNormal,
        "uniform": RandomUniform,
        "one": Ones,
        "zero": Zeros,
    },
)


def get(identifier: Any) -> Callable[..., Any] | None:
    """The initializer a name, config, class, function or array stands for; None for None.

    Raises:
        ValueError: for an unknown name, with the nearest known one.
    """
    if isinstance(identifier, np.ndarray):
        return Constant(identifier)
    found: Callable[..., Any] | None = _registry.get(identifier)
    return found


def serialize(initializer: Any) -> Any:
    """The config of an initializer."""
    return _registry.serialize(initializer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The initializer of a config."""
    return _registry.deserialize(config, custom_objects)
