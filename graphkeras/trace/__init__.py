"""Tracing: the way from Python functions on tensors to a graph."""

from graphkeras.trace.convert import as_array, as_tensor, cast_to, emit, is_tensor_like
from graphkeras.trace.dtypes import float_type, result_type, standardize_dtype
from graphkeras.trace.op import infer, node_of, op, record
from graphkeras.trace.scope import (
    EagerScope,
    Scope,
    current_scope,
    outside,
    run_eagerly,
)
from graphkeras.trace.symbolic_tensor import (
    BATCH,
    CallNode,
    FunctionCall,
    KerasTensor,
    any_symbolic,
    symbolic_dims,
    symbolic_leaves,
)
from graphkeras.trace.tensor import Tensor, public_shape
from graphkeras.trace.trace import Trace, Traced

__all__ = [
    "BATCH",
    "CallNode",
    "EagerScope",
    "FunctionCall",
    "KerasTensor",
    "Scope",
    "Tensor",
    "Trace",
    "Traced",
    "any_symbolic",
    "as_array",
    "as_tensor",
    "cast_to",
    "current_scope",
    "emit",
    "float_type",
    "infer",
    "is_tensor_like",
    "node_of",
    "op",
    "outside",
    "public_shape",
    "record",
    "result_type",
    "run_eagerly",
    "standardize_dtype",
    "symbolic_dims",
    "symbolic_leaves",
]
