"""The table: which work, by which systems, and what must come out.

A goal compares within one run: a share of the roofline, a ratio to peers, two threads against
one. Only what a person waits for (a compile, an import, one `predict`) is held against the clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from benchmarks.systems import ONE_THREAD, ONE_THREAD_ROOFLINE, OURS, ROOFLINE
from benchmarks.work import Convolution, Direction, Fresh, Prediction, Product, Training, Work

TENSORFLOW = ("keras-tensorflow", "keras-tensorflow-jit")
KERAS = (*TENSORFLOW, "keras-jax", "keras-torch")
ENGINES = ("onnxruntime", "openvino")
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)


@dataclass(frozen=True)
class Share:
    """At least this share of what the machine's limits allow for the work."""

    least: float


@dataclass(frozen=True)
class Faster:
    """At least `times` as fast as the fastest of `peers` that ran."""

    times: float
    peers: tuple[str, ...]


@dataclass(frozen=True)
class Below:
    """At most `most` of the row's unit."""

    most: float


@dataclass(frozen=True)
class Threads:
    """With all threads at least `times` as fast as with one, where one call exceeds 1 ms."""

    times: float = 1.7


Goal = Share | Faster | Below | Threads


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        key: Name in `--rows` and in the results.
        title: What the table says.
        work: What is timed.
        systems: Who does it, graphkeras first.
        goals: What must come out.
        quick: Whether `--quick` has it.
    """

    key: str
    title: str
    work: Work
    systems: tuple[str, ...]
    goals: tuple[Goal, ...]
    quick: bool = False

    @property
    def section(self) -> str:
        """The table it belongs to: the key up to the first slash."""
        return self.key.partition("/")[0]


SECTIONS = {
    "product": ("Matrix products and dense layers", "ms"),
    "conv": ("Convolutions, stride 1, image size kept", "ms"),
    "train": ("One training step, through `fit`", "ms"),
    "predict": ("Inference", "ms"),
    "memory": ("Peak resident memory of a process that runs `fit`", "MB"),
    "start": ("Cold start, in a fresh process", "s"),
    "tuning": ("Time with kernels of the cost model, by that with autotuned ones", "times"),
}
"""Title and unit of each table."""


def _products() -> list[Row]:
    peers = ("numpy", "torch")
    systems = (OURS, ONE_THREAD, *peers, ROOFLINE, ONE_THREAD_ROOFLINE)
    goals = (Share(0.8), Faster(1.0, ("numpy",)), Threads())
    rows = [
        Row(f"product/{n}", f"{n} x {n} x {n}", Product(n, n, n), systems, goals, n == 1024)
        for n in (512, 1024, 1536, 2048)
    ]
    rows += [
        Row(
            f"product/dense-{direction.replace(' ', '-')}",
            f"dense 256 x 1024 x 1024, {direction}",
            Product(256, 1024, 1024, direction),
            systems,
            goals,
        )
        for direction in DIRECTIONS
    ]
    return rows


CONVOLUTIONS = (
    ("3x3", (56, 32, 32), (56, 64, 64), (28, 128, 128), (14, 256, 256)),
    ("1x1", (56, 64, 64), (28, 128, 128), (14, 256, 1024)),
    ("depthwise", (56, 64, 64), (28, 128, 128), (14, 256, 256)),
)
"""Kind, then size of the image, channels and filters of each case."""


def _convolutions() -> list[Row]:
    rows = []
    for kind, *cases in CONVOLUTIONS:
        share = 0.6 if kind == "depthwise" else 0.75
        goals = (Share(share), Faster(1.0, ("torch",)), Threads())
        window = 1 if kind == "1x1" else 3
        for size, channels, filters in cases:
            for batch in (1, 32):
                for direction in DIRECTIONS:
                    key = f"{kind}-{size}-{channels}-b{batch}-{direction.replace(' ', '-')}"
                    title = f"{kind}, {size}x{size}, {channels} to {filters}, batch {batch}"
                    work = Convolution(
                        size, channels, filters, batch, window, direction, kind == "depthwise"
                    )
                    systems = (OURS, ONE_THREAD, "torch", ROOFLINE, ONE_THREAD_ROOFLINE)
                    rows.append(Row(f"conv/{key}", f"{title}, {direction}", work, systems, goals))
    return rows


def _training() -> list[Row]:
    every = (OURS, ONE_THREAD, *KERAS, "torch")
    best = (*KERAS, "torch")
    return [
        Row(
            "train/mlp",
            "MLP 784-128-dropout-10, Adam, batch 32",
            Training("mlp", 32, 200),
            every,
            (Faster(3.5, ("keras-jax",)), Faster(15.0, TENSORFLOW), Threads()),
            quick=True,
        ),
        Row(
            "train/convnet",
            "MNIST convnet, RMSprop, batch 128",
            Training("convnet", 128, 20),
            every,
            (Faster(5.0, (*TENSORFLOW, "keras-jax", "torch")), Threads()),
            quick=True,
        ),
        Row(
            "train/cifar",
            "CIFAR convnet, Adam, batch 64",
            Training("cifar", 64, 20),
            every,
            (Faster(3.5, best), Threads()),
        ),
        Row(
            "train/resnet20",
            "ResNet-20 on 32x32x3, SGD with momentum, batch 64",
            Training("resnet20", 64, 8),
            every,
            (Faster(2.0, best), Threads()),
        ),
    ]


def _prediction() -> list[Row]:
    every = (OURS, ONE_THREAD, *ENGINES, *KERAS, "torch")
    single = Prediction("convnet", 1)
    rows = [
        Row(
            "predict/convnet-1",
            "MNIST convnet, batch 1, `predict_on_batch(x)`",
            single,
            every,
            (Faster(1.0, ("onnxruntime",)), Threads()),
            quick=True,
        ),
        Row(
            "predict/convnet-1-predict",
            "MNIST convnet, batch 1, `predict(x)`",
            Prediction("convnet", 1, "predict"),
            (OURS, "onnxruntime", *KERAS),
            (Faster(1.0, ("onnxruntime",)), Below(0.1)),
        ),
        Row(
            "predict/convnet-256",
            "MNIST convnet, batch 256",
            Prediction("convnet", 256),
            every,
            (Faster(1.5, ("onnxruntime",)), Threads()),
            quick=True,
        ),
    ]
    for batch in (1, 16):
        goals = (Faster(1.0, ("openvino",)), Faster(2.0, ("onnxruntime",)), Threads())
        work = Prediction("resnet50", batch)
        systems = (OURS, ONE_THREAD, *ENGINES, *TENSORFLOW, "torch")
        title = f"ResNet-50, 224x224x3, batch {batch}"
        rows.append(Row(f"predict/resnet50-{batch}", title, work, systems, goals))
    return rows


def _fresh() -> list[Row]:
    keras = ("keras-tensorflow", "keras-jax", "keras-torch")
    memory = (Faster(3.0, ("keras-tensorflow",)),)
    return [
        Row(
            "memory/fit-small",
            "MNIST convnet, batch 128, 2,560 images",
            Fresh("memory_of_short_fit", rounds=1),
            (OURS, *keras),
            memory,
        ),
        Row(
            "memory/fit",
            "MNIST convnet, batch 128, 60,000 images (188 MB)",
            Fresh("memory_of_fit", rounds=1),
            (OURS, "keras-tensorflow"),
            memory,
        ),
        Row(
            "start/train-cold",
            "first training step of the MNIST convnet, kernel cache empty",
            Fresh("first_step", "empty"),
            (OURS, *KERAS),
            (Below(4.0),),
        ),
        Row(
            "start/train-cached",
            "the same, kernel cache filled",
            Fresh("first_step"),
            (OURS,),
            (Below(0.3),),
        ),
        Row(
            "start/resnet50-cold",
            "first `predict_on_batch` of ResNet-50, kernel cache empty",
            Fresh("first_resnet50", "empty", rounds=2),
            (OURS, *TENSORFLOW),
            (Below(20.0),),
        ),
        Row(
            "start/import-alone",
            "`import graphkeras` or `import keras`",
            Fresh("plain_import_time", rounds=5),
            (OURS, *keras),
            (Below(0.2),),
        ),
        Row(
            "start/import",
            "the same, and its layers, losses, metrics and optimizers",
            Fresh("import_time", rounds=5),
            (OURS, *keras),
            (Below(0.2),),
            quick=True,
        ),
        Row(
            "start/predict",
            "import, build the MNIST convnet, `predict(x)` on one image, kernel cache filled",
            Fresh("first_predict", rounds=5),
            (OURS, *keras),
            (Below(0.8),),
        ),
    ]


def _tuning() -> list[Row]:
    rows = [row for row in [*_training(), *_prediction()] if row.key != "predict/convnet-1-predict"]
    return [
        Row(
            f"tuning/{row.key.replace('/', '-')}",
            ("training step of the " if row.section == "train" else "") + row.title,
            Fresh("default_by_tuned", rounds=1, row=row.key),
            (OURS,),
            (Below(1.15),),
        )
        for row in rows
    ]


ROWS = {
    row.key: row
    for row in [*_products(), *_convolutions(), *_training(), *_prediction(), *_fresh(), *_tuning()]
}
