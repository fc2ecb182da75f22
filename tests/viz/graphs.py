"""Small graphs that the tests of pictures draw."""

from __future__ import annotations

import numpy as np

from graphkeras import ops
from graphkeras.compiler import optimize
from graphkeras.ir.dims import Size
from graphkeras.ir.graph import Graph
from graphkeras.ir.types import TensorType
from graphkeras.trace import Trace
from graphkeras.variables import Variable

N = Size.symbol("N")


def train_step(layers: int = 1) -> Graph:
    """Dense layers with relu, mean squared error, plain gradient descent, a counter as metric."""
    kernels = [Variable(np.zeros((4, 4), "float32"), name=f"kernel{i}") for i in range(layers)]
    rate = Variable(np.float32(0.1), name="rate")
    seen = Variable(np.float32(0), name="seen")
    with Trace("train_step") as t:
        x = t.input(TensorType((N, 4)), "x")
        y = t.input(TensorType((N, 4)), "y")
        hidden = x
        for i, kernel in enumerate(kernels):
            with t.layer(f"net/dense{i}"):
                hidden = ops.relu(ops.matmul(hidden, kernel))
        with t.phase("loss"):
            loss = ops.mean(ops.square(hidden - y))
        gradients = t.gradients(loss, kernels)
        with t.phase("update"):
            for kernel, gradient in zip(kernels, gradients, strict=True):
                kernel.assign(kernel - rate * gradient)
        with t.phase("metrics"):
            seen.assign(seen + 1.0)
        return t.finish({"loss": loss}).graph


def fused(graph: Graph) -> Graph:
    """The graph as the compiler schedules it."""
    return optimize(graph).records[-1].after
