"""Small image datasets with the loaders of `keras.datasets`.

`digits` is bundled with the package; `mnist`, `fashion_mnist` and `cifar10` are read from
local copies or downloaded once and kept in the cache folder.
"""

from graphkeras.datasets import cifar10, digits, fashion_mnist, mnist
from graphkeras.datasets._files import DatasetFormatError, DatasetUnavailableError
from graphkeras.datasets.digits import load_digits

__all__ = [
    "DatasetFormatError",
    "DatasetUnavailableError",
    "cifar10",
    "digits",
    "fashion_mnist",
    "load_digits",
    "mnist",
]
