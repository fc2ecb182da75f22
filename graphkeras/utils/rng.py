"""One seed for everything random."""

from __future__ import annotations

import numpy as np

from graphkeras.errors import DataError


def set_random_seed(seed: int) -> None:
    """Seeds Python's `random`, NumPy, and what `graphkeras.random` draws without a seed.

    After it the same program builds the same weights, shuffles data alike and drops the same
    units, on any number of threads.

    Args:
        seed: A whole number from 0 to 2**32 - 1.

    Raises:
        DataError: The seed is no such number.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise DataError(
            f"set_random_seed: expected a whole number from 0 to 4294967295, received {seed!r}"
        )
    import random

    from graphkeras.random import set_global_seed

    random.seed(seed)
    np.random.seed(seed)
    set_global_seed(seed)
