"""The primitive operations. Importing this package fills `graphkeras.ir.op.OPS`.

unary, binary, compare   elementwise arithmetic, comparisons, select
shape, slice_pad         constants, broadcasting, moving, cutting and joining
reduce, window           sums and maxima over axes and over sliding windows
window_grad              the winners of a maximum over windows, and what they get back
contract, conv           matrix products and convolutions
conv_bands               the gradients of depthwise kernels, in parts
winograd                 3x3 convolutions with fewer products
winograd_gradient        the gradients of their kernels
index                    gather, scatter and their per-line forms
scan                     cumulative ops and sorting
random                   counter-based random bits
fused                    a node with a body graph
"""

from graphkeras.ir.ops import (
    binary,
    compare,
    contract,
    conv,
    conv_bands,
    fused,
    index,
    random,
    reduce,
    scan,
    shape,
    slice_pad,
    unary,
    window,
    window_grad,
    winograd,
    winograd_gradient,
)

__all__ = [
    "binary",
    "compare",
    "contract",
    "conv",
    "conv_bands",
    "fused",
    "index",
    "random",
    "reduce",
    "scan",
    "shape",
    "slice_pad",
    "unary",
    "window",
    "window_grad",
    "winograd",
    "winograd_gradient",
]
