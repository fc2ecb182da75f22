"""Calls of `keras.ops` functions: name, arguments made from a generator, keyword arguments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

RNG = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def positives(*shape: int) -> np.ndarray:
    return RNG.uniform(0.1, 3.0, size=shape).astype("float32")


def units(*shape: int) -> np.ndarray:
    return RNG.uniform(-0.95, 0.95, size=shape).astype("float32")


def whole(*shape: int, low: int = -5, high: int = 6) -> np.ndarray:
    return RNG.integers(low, high, size=shape).astype("int32")


def booleans(*shape: int) -> np.ndarray:
    return RNG.integers(0, 2, size=shape).astype(bool)


def rows(n: int, classes: int) -> np.ndarray:
    p = RNG.uniform(0.05, 1.0, size=(n, classes)).astype("float32")
    return p / p.sum(-1, keepdims=True)


@dataclass
class Case:
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        shown = [str(np.shape(a)) if isinstance(a, np.ndarray) else repr(a) for a in self.args]
        shown += [f"{k}={v!r}" for k, v in self.kwargs.items()]
        return f"{self.name}({', '.join(shown)})"


def case(name: str, *args: Any, **kwargs: Any) -> Case:
    return Case(name, args, kwargs)


X = floats(3, 4)
SPECIAL = np.array([[np.nan, np.inf, -np.inf, 0.0], [1.0, -1.0, 2.5, -3.5]], "float32")
IMAGE = floats(2, 7, 6, 4)
LINE = floats(2, 9, 3)

UNARY = {
    floats: "negative absolute abs sign square exp exp2 expm1 sin cos tan arctan sinh cosh tanh "
    "arcsinh erf floor ceil round trunc deg2rad relu relu6 leaky_relu sigmoid log_sigmoid "
    "softplus softsign silu elu celu selu gelu hard_sigmoid hard_silu hard_tanh hard_shrink "
    "soft_shrink tanh_shrink squareplus softmax log_softmax glu isnan isfinite isinf logsumexp "
    "sum prod max min mean var std argmax argmin ravel transpose squeeze flip sort argsort "
    "cumsum cumprod zeros_like ones_like count_nonzero norm stop_gradient tril triu "
    "logical_not any all size",
    positives: "log log2 log10 log1p sqrt rsqrt reciprocal",
    units: "arcsin arccos arctanh erfinv",
    whole: "negative absolute sign square exp sqrt sum prod max min mean argmax sort cumsum "
    "bitwise_not softmax floor any count_nonzero isnan isfinite var",
    booleans: "logical_not sum any all max min absolute count_nonzero cumsum argmax mean",
}
BINARY = {
    floats: "add subtract multiply true_divide divide divide_no_nan power maximum minimum arctan2 "
    "logaddexp equal not_equal less less_equal greater greater_equal mod "
    "floor_divide logical_and logical_or logical_xor isclose",
    whole: "add subtract multiply true_divide maximum minimum equal less bitwise_and bitwise_or "
    "bitwise_xor",
    booleans: "add multiply logical_and logical_or logical_xor equal maximum bitwise_and",
}


def cases() -> list[Case]:
    """Every call that is compared with Keras."""
    found = []
    for make, names in UNARY.items():
        found += [case(n, make(4, 6)) for n in names.split()]
    for make, names in BINARY.items():
        for n in names.split():
            first = positives(3, 4) if n == "power" else make(3, 4)
            other = make if n not in ("mod", "floor_divide") else positives
            found.append(case(n, first, other(3, 1)))
            if n in ("add", "true_divide", "less"):
                found += [case(n, first, other(3, 4)), case(n, first, other(4))]
    for n in ["add", "multiply", "true_divide", "power", "maximum", "less", "floor_divide", "mod"]:
        found += [
            case(n, whole(3, low=1), 2),
            case(n, whole(3, low=1), 2.5),
            case(n, positives(3), 2),
        ]
    return found + reductions() + shapes() + picking() + products() + networks() + creation()


def reductions() -> list[Case]:
    found = []
    x = floats(2, 3, 4)
    extremes = ["max", "min", "argmax", "argmin", "any", "all"]
    for n in [*extremes, "sum", "prod", "mean", "var", "std", "logsumexp", "norm"]:
        found += [case(n, x, axis=1), case(n, x, axis=-1, keepdims=True)]
    for n in ["sum", "mean", "max", "any", "logsumexp"]:
        found += [case(n, x, axis=(0, 2)), case(n, x, axis=(-1, 0), keepdims=True)]
    found += [case("norm", x, ord=o, axis=1) for o in (1, 2, 3, np.inf, -np.inf, 0)]
    found += [case("cumsum", x, axis=1), case("cumprod", x, axis=-1)]
    found += [case("average", X, axis=0, weights=positives(3, 4)), case("average", X)]
    found += [case("median", X, axis=1), case("median", floats(3, 5), axis=1)]
    found += [case("count_nonzero", whole(3, 4), axis=0), case("argmax", SPECIAL[1])]
    found += [case("max", SPECIAL), case("min", SPECIAL), case("nan_to_num", SPECIAL)]
    tests = ["isnan", "isfinite", "isinf"]
    found += [case(n, SPECIAL) for n in [*tests, "sign", "relu", "sigmoid", "tanh"]]
    found += [case("moments", x, axes=[0, 1]), case("moments", x, axes=[1], keepdims=True)]
    found += [case("logsumexp", np.array([1000.0, 1000.0], "float32"))]
    found += [case("max", X, axis=0, initial=0.5)]
    return found


def shapes() -> list[Case]:
    x = floats(2, 3, 4)
    return [
        case("reshape", x, (4, 6)),
        case("reshape", x, (-1, 8)),
        case("reshape", x, -1),
        case("transpose", x, (1, 0, 2)),
        case("moveaxis", x, 0, -1),
        case("moveaxis", x, (0, 1), (2, 0)),
        case("swapaxes", x, 0, 2),
        case("expand_dims", x, 1),
        case("expand_dims", x, -1),
        case("expand_dims", x, (0, 2)),
        case("squeeze", floats(1, 3, 1)),
        case("squeeze", floats(1, 3, 1), -1),
        case("broadcast_to", floats(3, 1), (2, 3, 4)),
        case("concatenate", [x, floats(2, 5, 4)], axis=1),
        case("concatenate", [whole(2, 3), floats(1, 3)]),
        case("stack", [x, x], axis=1),
        case("stack", [x, x], axis=-1),
        case("unstack", x, axis=1),
        case("split", x, 2, axis=2),
        case("split", x, [1, 2], axis=1),
        case("tile", x, (2, 1, 3)),
        case("tile", X, (2, 2, 1)),
        case("tile", X, 2),
        case("repeat", x, 3, axis=1),
        case("repeat", X, 2),
        case("repeat", X, np.array([1, 0, 2]), axis=0),
        case("flip", x, axis=1),
        case("flip", x, axis=(0, 2)),
        case("roll", x, 1),
        case("roll", x, -2, axis=1),
        case("pad", X, 1),
        case("pad", X, ((1, 2), (0, 3)), constant_values=5.0),
        case("pad", X, ((1, 2), (1, 1)), mode="reflect"),
        case("pad", X, ((1, 2), (1, 1)), mode="symmetric"),
        case("clip", x, -0.5, 0.5),
        case("clip", whole(5), -1, 2),
        case("round", positives(5), 2),
        case("where", booleans(3, 4), X, 0.0),
        case("where", booleans(3, 1), whole(3, 4), floats(4)),
        case("cast", X, "int32"),
        case("cast", X, "bool"),
        case("cast", booleans(4), "float32"),
        case("gelu", X, approximate=False),
        case("glu", floats(2, 4, 3), axis=1),
        case("leaky_relu", X, 0.3),
        case("threshold", X, 0.2, -1.0),
        case("tril", floats(4, 4), 1),
        case("triu", floats(2, 3, 4), -1),
    ]


def picking() -> list[Case]:
    x = floats(4, 5, 3)
    return [
        case("take", x, np.array([0, 3, 1]), axis=0),
        case("take", x, np.array([[0, -1], [2, 1]]), axis=1),
        case("take", x, 2, axis=2),
        case("take", x, np.array([0, 7, 30])),
        case("take_along_axis", x, whole(4, 2, 3, low=0, high=5), axis=1),
        case("take_along_axis", x, whole(1, 5, 1, low=0, high=3), axis=2),
        case("one_hot", np.array([0, 2, 1]), 3),
        case("one_hot", np.array([[0, 2], [-1, 9]]), 3, axis=1),
        case("one_hot", np.array([1, 0]), 2, dtype="int32"),
        case("multi_hot", np.array([[0, 2], [1, 1]]), 4),
        case("slice", x, (1, 0, 1), (2, 3, 1)),
        case("top_k", x, 2),
        case("in_top_k", np.array([1, 0, 2]), floats(3, 4), 2),
        case("sort", x, axis=0),
        case("argsort", x, axis=1),
    ]


def products() -> list[Case]:
    found = [
        case("matmul", floats(*a), floats(*b))
        for a, b in [
            ((3, 4), (4, 5)),
            ((4,), (4, 5)),
            ((3, 4), (4,)),
            ((4,), (4,)),
            ((2, 3, 4), (4, 5)),
            ((2, 3, 4), (2, 4, 5)),
            ((2, 1, 3, 4), (5, 4, 2)),
            ((4,), (2, 4, 5)),
            ((2, 3, 4), (4,)),
            ((3, 4), (2, 4, 5)),
        ]
    ]
    found += [
        case("dot", floats(*a), floats(*b))
        for a, b in [
            ((3, 4), (4, 5)),
            ((4,), (4,)),
            ((2, 3, 4), (5, 4, 2)),
            ((), (3,)),
            ((2, 3), (3,)),
        ]
    ]
    found += [
        case("tensordot", floats(2, 3, 4), floats(3, 4, 5)),
        case("tensordot", floats(2, 3, 4), floats(4, 5), axes=1),
        case("tensordot", floats(2, 3, 4), floats(4, 2, 5), axes=([0, 2], [1, 0])),
        case("outer", floats(3), floats(4)),
        case("vdot", floats(3, 4), floats(3, 4)),
        case("matmul", whole(3, 4), whole(4, 2)),
    ]
    for text, *sizes in [
        ("ij,jk->ik", (3, 4), (4, 5)),
        ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
        ("ij->ji", (3, 4)),
        ("ij->j", (3, 4)),
        ("ij,ij->", (3, 4), (3, 4)),
        ("ij,kj", (3, 4), (5, 4)),
        ("...ij,jk->...ik", (2, 3, 4), (4, 5)),
        ("abc,cd,de->abe", (2, 3, 4), (4, 5), (5, 6)),
        ("bqhd,bkhd->bhqk", (2, 3, 4, 5), (2, 6, 4, 5)),
        ("i,j->ij", (3,), (4,)),
        ("ijk,ik->ij", (2, 3, 4), (2, 4)),
        ("...a,...b->...ab", (2, 3), (2, 4)),
    ]:
        found.append(case("einsum", text, *(floats(*s) for s in sizes)))
    return found


def networks() -> list[Case]:
    kernel, probability = floats(3, 2, 4, 5), rows(6, 4)
    found = [
        case("conv", IMAGE, kernel, strides=s, padding=p, dilation_rate=d)
        for s, p, d in [
            (1, "valid", 1),
            (1, "same", 1),
            (2, "valid", 1),
            ((2, 1), "same", 1),
            (1, "same", 2),
            (1, "valid", (2, 1)),
        ]
    ]
    found += [
        case("conv", IMAGE, floats(3, 3, 2, 6)),
        case("conv", IMAGE, floats(3, 3, 2, 6), padding="same", strides=3),
        case("conv", LINE, floats(4, 3, 2), padding="same"),
        case("conv", floats(2, 5, 5, 4, 2), floats(2, 3, 2, 2, 3)),
        case("depthwise_conv", IMAGE, floats(3, 3, 4, 2), padding="same"),
        case("separable_conv", IMAGE, floats(3, 3, 4, 2), floats(1, 1, 8, 3)),
    ]
    for n in ("max_pool", "average_pool"):
        for size, step, padding in [
            (2, 2, "valid"),
            (2, 2, "same"),
            (3, 1, "same"),
            ((3, 2), (2, 1), "valid"),
            (3, 2, "same"),
        ]:
            found.append(case(n, IMAGE, size, strides=step, padding=padding))
        found.append(case(n, LINE, 2, strides=2, padding="same"))
    hot = np.eye(4, dtype="float32")[whole(6, low=0, high=4)]
    classes, logits = whole(6, low=0, high=4), floats(6, 4) * 5
    found += [
        case("categorical_crossentropy", hot, probability),
        case("categorical_crossentropy", hot, logits, from_logits=True),
        case("sparse_categorical_crossentropy", classes, probability),
        case("sparse_categorical_crossentropy", classes, logits, from_logits=True),
        case("sparse_categorical_crossentropy", classes[:, None], logits, from_logits=True),
        case("binary_crossentropy", hot, probability),
        case("binary_crossentropy", hot, logits, from_logits=True),
        case("softmax", IMAGE, axis=(1, 2)),
        case("log_softmax", IMAGE, axis=1),
        case("softmax", np.array([[1000.0, -1000.0]], "float32")),
        case("softplus", np.array([1000.0, -1000.0], "float32")),
        case("log_sigmoid", np.array([1000.0, -1000.0], "float32")),
        case("batch_normalization", IMAGE, floats(4), positives(4), -1, floats(4), floats(4)),
        case("batch_normalization", IMAGE, floats(7), positives(7), 1),
        case("normalize", X),
        case("normalize", X, axis=0, order=1),
    ]
    return found


def creation() -> list[Case]:
    return [
        case("zeros", (2, 3)),
        case("ones", (2, 3), dtype="int32"),
        case("full", (2, 2), 3.5),
        case("full_like", X, 2),
        case("eye", 3),
        case("eye", 3, 4, 1),
        case("identity", 3),
        case("arange", 5),
        case("arange", 1, 6, 2),
        case("arange", 0.0, 1.0, 0.25),
        case("arange", 3, dtype="float32"),
        case("linspace", 0.0, 1.0, 5),
        case("linspace", 0, 10, 5, endpoint=False),
        case("convert_to_tensor", [1.5, 2]),
        case("convert_to_tensor", [1, 2]),
        case("convert_to_tensor", True),
        case("shape", X),
        case("ndim", X),
    ]
