"""The dataflow-graph IR: types, values, nodes, graphs and the op table."""

from graphkeras.ir import ops
from graphkeras.ir.builder import Builder, EagerBuilder
from graphkeras.ir.dims import Dim, Shape, Size
from graphkeras.ir.graph import Graph, Loc, Node, Value
from graphkeras.ir.op import OPS, Kind, Op, get_op
from graphkeras.ir.types import TensorType

__all__ = [
    "OPS",
    "Builder",
    "Dim",
    "EagerBuilder",
    "Graph",
    "Kind",
    "Loc",
    "Node",
    "Op",
    "Shape",
    "Size",
    "TensorType",
    "Value",
    "get_op",
    "ops",
]
