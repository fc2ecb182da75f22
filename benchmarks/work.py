"""What a row times, without saying who does it: sizes, operands, operations, bytes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Direction = Literal["forward", "input gradient", "weight gradient"]


@dataclass(frozen=True)
class Prepared:
    """A workload that is built and warm.

    Attributes:
        run: Does the work `units` times.
        units: Repetitions in one `run`.
        sample: Some of the numbers it computes, in an order all systems agree on.
        tells_seconds: Whether `run` returns seconds, which are taken instead of its own.
    """

    run: Callable[[], Any]
    units: int
    sample: list[float]
    tells_seconds: bool = False


@dataclass(frozen=True)
class Product:
    """A matrix product of a dense layer: x [m, k], w [k, n], y [m, n], each row-major.

    forward: y = x w; input gradient: dx = dy wT; weight gradient: dw = xT dy.
    """

    m: int
    k: int
    n: int
    direction: Direction = "forward"

    @property
    def operations(self) -> float:
        """Floating-point operations."""
        return 2.0 * self.m * self.k * self.n

    @property
    def bytes(self) -> float:
        """Bytes of both operands and of the result."""
        return 4.0 * (self.m * self.k + self.k * self.n + self.m * self.n)

    def arrays(self) -> tuple[Array, Array, Array]:
        """The matrices x, w and dy."""
        rng = np.random.default_rng(0)
        return (
            _uniform(rng, self.m, self.k),
            _uniform(rng, self.k, self.n),
            _uniform(rng, self.m, self.n),
        )


@dataclass(frozen=True)
class Convolution:
    """A convolution of stride 1 that keeps the image's size.

    x [batch, size, size, channels], w [window, window, channels, filters] (depthwise:
    [window, window, 1, channels]), y [batch, size, size, filters].
    """

    size: int
    channels: int
    filters: int
    batch: int
    window: int = 3
    direction: Direction = "forward"
    depthwise: bool = False

    @property
    def groups(self) -> int:
        """Groups of channels that are convolved separately."""
        return self.channels if self.depthwise else 1

    @property
    def kernel_shape(self) -> tuple[int, int, int, int]:
        """Shape of w."""
        return (self.window, self.window, self.channels // self.groups, self.filters)

    @property
    def operations(self) -> float:
        """Floating-point operations; those on the padded border are counted too."""
        return 2.0 * self.batch * self.size**2 * math.prod(self.kernel_shape)

    @property
    def bytes(self) -> float:
        """Bytes of both operands and of the result."""
        pixels = self.batch * self.size**2
        return 4.0 * (pixels * (self.channels + self.filters) + math.prod(self.kernel_shape))

    def arrays(self) -> tuple[Array, Array, Array]:
        """The tensors x, w and dy."""
        rng = np.random.default_rng(0)
        image = (self.batch, self.size, self.size)
        return (
            _uniform(rng, *image, self.channels),
            _uniform(rng, *self.kernel_shape),
            _uniform(rng, *image, self.filters),
        )


@dataclass(frozen=True)
class Training:
    """Steps of `fit` on a model of `models.py`: one call of `steps` batches."""

    model: str
    batch: int
    steps: int

    def data(self, shape: tuple[int, ...]) -> tuple[Array, NDArray[np.int32]]:
        """Images of the shape, and labels from 0 to 9."""
        rng = np.random.default_rng(0)
        count = self.batch * self.steps
        return rng.random((count, *shape), np.float32), rng.integers(0, 10, count).astype("int32")


@dataclass(frozen=True)
class Prediction:
    """Inference of a model of `models.py`, with `predict_on_batch` or `predict`."""

    model: str
    batch: int
    call: Literal["predict_on_batch", "predict"] = "predict_on_batch"

    def data(self, shape: tuple[int, ...]) -> Array:
        """One batch of images."""
        return np.random.default_rng(0).random((self.batch, *shape), np.float32)


@dataclass(frozen=True)
class Fresh:
    """Something about a whole process: the function of `fresh.py` that measures it.

    Attributes:
        measure: Name of the function.
        row: Key of the row whose work it is about, where it is about one.
        cache: `"empty"`: the kernel cache is emptied before each process; `"filled"`: one
            process of graphkeras that is not counted fills it.
        rounds: Processes of each system.
    """

    measure: str
    cache: Literal["empty", "filled"] = "filled"
    rounds: int = 3
    row: str = ""


Work = Product | Convolution | Training | Prediction | Fresh


def sample_of(array: Any) -> list[float]:
    """At most 16 elements, evenly spread, and a sum in which every element has its own weight.

    The sum is what tells answers apart that are zero nearly everywhere, such as those of a deep
    network's softmax.
    """
    flat = np.asarray(array, np.float64).reshape(-1)
    weighted = np.cos(np.arange(flat.size)) @ flat / np.sqrt(max(1, flat.size))
    return [*(float(v) for v in flat[:: max(1, flat.size // 16)][:16]), float(weighted)]


def _uniform(rng: np.random.Generator, *shape: int) -> Array:
    array = on_a_line(shape)
    np.subtract(rng.random(shape, np.float32), np.float32(0.5), out=array)
    return array


def on_a_line(shape: tuple[int, ...]) -> Array:
    """Zeros that begin on a cache line.

    NumPy's own arrays mostly do not, the tensors of the frameworks do; vectors that lie across
    two lines cost a product up to a fifth of its speed.
    """
    memory = np.zeros(4 * math.prod(shape) + 64, np.uint8)
    skip = -memory.ctypes.data % 64
    return memory[skip : skip + 4 * math.prod(shape)].view(np.float32).reshape(shape)
