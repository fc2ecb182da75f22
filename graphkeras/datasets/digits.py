"""The UCI handwritten digits: 1,797 grey images of 8x8 pixels, bundled with the package."""

from __future__ import annotations

from importlib import resources
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from graphkeras.datasets._files import ByteArray, ImageDataset

_DESCRIPTION = """\
Optical Recognition of Handwritten Digits (test set)

1,797 images of handwritten digits from 13 writers. Each is 8x8 pixels whose integer values from
0 to 16 count the set pixels in a 4x4 block of the original 32x32 bitmap. There are 10 classes,
one for each digit, and no missing values.

Creators: E. Alpaydin, C. Kaynak, Bogazici University, Istanbul, July 1998.
Source: https://doi.org/10.24432/C50P49 (UCI Machine Learning Repository)
Licence: Creative Commons Attribution 4.0 International

References:
  E. Alpaydin, C. Kaynak (1998). Cascading Classifiers. Kybernetika 34(4), 369-374.
  C. Kaynak (1995). Methods of Combining Multiple Classifiers and Their Applications to
  Handwritten Digit Recognition. MSc thesis, Bogazici University.
"""


class Bunch(dict[str, Any]):
    """A dictionary whose items are attributes too."""

    def __getattr__(self, name: str) -> Any:
        """Returns the item called `name`."""
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(name) from error

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets the item called `name`."""
        self[name] = value

    def __dir__(self) -> list[str]:
        """Lists the attributes, the items among them."""
        return sorted({*super().__dir__(), *self})


def load_data(test_split: float = 0.2, seed: int = 113) -> ImageDataset:
    """Loads the digits, shuffled and split into a training and a test part.

    Args:
        test_split: Share of the images, at least 0 and less than 1, that go to the test part.
        seed: Seed of the shuffle; the same seed always gives the same split.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: `uint8` images of shape `(n, 8, 8)` with values
        from 0 to 16, and `uint8` labels of shape `(n,)` with values from 0 to 9.

    Raises:
        ValueError: `test_split` is out of its range.
    """
    if not 0 <= test_split < 1:
        raise ValueError(f"test_split must be at least 0 and less than 1, not {test_split}")
    images, target = _read()
    order = np.random.RandomState(seed).permutation(len(target))
    images, target = images[order], target[order]
    cut = int(len(target) * (1 - test_split))
    return (images[:cut], target[:cut]), (images[cut:], target[cut:])


@overload
def load_digits(
    *,
    n_class: int = 10,
    return_X_y: Literal[False] = False,  # noqa: N803 - the name in scikit-learn
) -> Bunch: ...
@overload
def load_digits(
    *,
    n_class: int = 10,
    return_X_y: Literal[True],  # noqa: N803 - the name in scikit-learn
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]: ...
def load_digits(
    *,
    n_class: int = 10,
    return_X_y: bool = False,  # noqa: N803 - the name in scikit-learn
) -> Bunch | tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Loads the digits in the form of `sklearn.datasets.load_digits`.

    Args:
        n_class: Number of classes, from 1 to 10; digits from 0 to `n_class - 1` are returned.
        return_X_y: Whether to return `(data, target)` only.

    Returns:
        A `Bunch` with `data` (float64, shape `(1797, 64)`), `images` (float64, shape
        `(1797, 8, 8)`), `target` (int64, shape `(1797,)`), `target_names`, `feature_names` and
        `DESCR`; or the pair `(data, target)`.

    Raises:
        ValueError: `n_class` is out of its range.
    """
    if not 1 <= n_class <= 10:
        raise ValueError(f"n_class must be from 1 to 10, not {n_class}")
    raw_images, raw_target = _read()
    kept = raw_target < n_class
    images = raw_images[kept].astype(np.float64)
    target = raw_target[kept].astype(np.int64)
    data = images.reshape(len(images), -1)
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        feature_names=[f"pixel_{row}_{column}" for row in range(8) for column in range(8)],
        target_names=np.arange(10),
        images=images,
        DESCR=_DESCRIPTION,
    )


def _read() -> tuple[ByteArray, ByteArray]:
    """Reads the bundled images and labels."""
    file = resources.files("graphkeras.datasets") / "data" / "digits.npz"
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        return archive["images"], archive["target"]
