"""Every primitive, compiled, against its NumPy reference, over the samples of the op table.

Compiling is what takes the time here. Elementwise ops know no shape, so their samples are
brought to one length and share kernels, as many as a kernel may have outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import batched
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from graphkeras.compiler import compile_graph
from graphkeras.ir import OPS, Builder, Kind, Size, TensorType
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.op import Op, Sample
from graphkeras.passes import Schedule
from graphkeras.passes.fuse import MAX_OUTPUTS

Array = NDArray[Any]
