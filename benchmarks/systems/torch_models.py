"""The networks of `models.py` for torch: the same layers by the same names. They give logits."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from benchmarks.models import weight

EPSILON = 1e-3
"""Of batch normalisation, as in Keras."""


class Flatten(nn.Module):
    """Flattens in Keras's order: rows, columns, channels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to vectors."""
        return x.permute(0, 2, 3, 1).flatten(1)


class Convnet(nn.Module):
    """Convolutions of 3x3 with relu, the first two with pooling, and two dense layers."""

    def __init__(self, channels: tuple[int, ...], flat: int, units: int) -> None:
        super().__init__()
        convs = pairwise(channels)
        for i, (inputs, outputs) in enumerate(convs, 1):
            self.add_module(f"conv{i}", nn.Conv2d(inputs, outputs, 3))
        self.convs = [f"conv{i}" for i in range(1, len(channels))]
        self.flatten = Flatten()
        self.dense1, self.dense2 = nn.Linear(flat, units), nn.Linear(units, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to logits."""
        for i, name in enumerate(self.convs):
            x = functional.relu(self.get_submodule(name)(x))
            if i < 2:
                x = functional.max_pool2d(x, 2)
        return self.dense2(functional.relu(self.dense1(self.flatten(x))))


class Normalised(nn.Module):
    """Convolution, batch normalisation and, where wanted, relu; padded as `padding="same"`."""

    def __init__(
        self, inputs: int, outputs: int, window: int, stride: int = 1, relu: bool = True
    ) -> None:
        super().__init__()
        # With stride 2 and an even size Keras pads 3x3 at the end only.
        self.end = window == 3 and stride == 2
        side = 0 if self.end else window // 2
        self.conv = nn.Conv2d(inputs, outputs, window, stride, side, bias=False)
        self.norm = nn.BatchNorm2d(outputs, EPSILON, momentum=0.01)
        self.relu = relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to images."""
        x = self.norm(self.conv(functional.pad(x, (0, 1, 0, 1)) if self.end else x))
        return functional.relu(x, inplace=True) if self.relu else x


class Residual(nn.Module):
    """A chain of `Normalised`, and a shortcut around it."""

    def __init__(self, chain: list[Normalised], shortcut: Normalised | None) -> None:
        super().__init__()
        for letter, part in zip("abc", chain, strict=False):
            self.add_module(letter, part)
        self.chain = "abc"[: len(chain)]
        self.s = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to images."""
        y = x
        for letter in self.chain:
            y = self.get_submodule(letter)(y)
        return functional.relu(y + (x if self.s is None else self.s(x)), inplace=True)


class ResNet(nn.Module):
    """A stem, stages of residual blocks, global mean, one dense layer.

    Args:
        stem: What comes before the stages.
        channels: Of the stem's result.
        stages: For each stage its filters and its number of blocks.
        bottleneck: 1x1, 3x3, 1x1 to four times the filters; else two 3x3.
        classes: Number of logits.
    """

    def __init__(
        self,
        stem: Normalised,
        channels: int,
        stages: tuple[tuple[int, int], ...],
        bottleneck: bool,
        classes: int,
    ) -> None:
        super().__init__()
        self.stem, self.pool = stem, bottleneck
        self.blocks = []
        for stage, (filters, count) in enumerate(stages):
            for block in range(count):
                stride = 2 if stage and block == 0 else 1
                outputs = 4 * filters if bottleneck else filters
                last = (filters, outputs, 1) if bottleneck else (filters, filters, 3)
                chain = [Normalised(channels, filters, 1 if bottleneck else 3, stride)]
                if bottleneck:
                    chain.append(Normalised(filters, filters, 3))
                chain.append(Normalised(*last, relu=False))
                change = stride == 2 or channels != outputs
                shortcut = Normalised(channels, outputs, 1, stride, relu=False) if change else None
                self.add_module(f"s{stage}b{block}", Residual(chain, shortcut))
                self.blocks.append(f"s{stage}b{block}")
                channels = outputs
        self.dense = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to logits."""
        x = self.stem(x)
        if self.pool:
            x = functional.max_pool2d(x, 3, 2, 1)
        for name in self.blocks:
            x = self.get_submodule(name)(x)
        return self.dense(x.mean((2, 3)))


def _mlp() -> nn.Module:
    layers = {
        "dense1": nn.Linear(784, 128),
        "relu": nn.ReLU(),
        "dropout": nn.Dropout(0.2),
        "dense2": nn.Linear(128, 10),
    }
    model = nn.Sequential()
    for name, layer in layers.items():
        model.add_module(name, layer)
    return model


def _resnet50() -> nn.Module:
    stages = ((64, 3), (128, 4), (256, 6), (512, 3))
    return ResNet(Normalised(3, 64, 7, 2), 64, stages, True, 1000)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "mlp": _mlp,
    "convnet": lambda: Convnet((1, 32, 64), 1600, 64),
    "cifar": lambda: Convnet((3, 32, 64, 64), 1024, 128),
    "resnet20": lambda: ResNet(Normalised(3, 16, 3), 16, ((16, 3), (32, 3), (64, 3)), False, 10),
    "resnet50": _resnet50,
}


def network(name: str) -> nn.Module:
    """A network with the weights of the Keras program of that name, channels-last."""
    model = NETWORKS[name]()
    with torch.no_grad():
        for path, module in model.named_modules():
            _set_weights(module, _keras_name(path))
    return model.to(memory_format=torch.channels_last)


def _keras_name(path: str) -> str:
    """`s0b1.a.conv` is called `s0b1a_conv` there, `stem.norm` `stem_norm`."""
    *blocks, last = path.split(".")
    return f"{''.join(blocks)}_{last}" if blocks else last


def _set_weights(module: nn.Module, layer: str) -> None:
    def put(tensor: torch.Tensor, name: str, order: tuple[int, ...] = (0,)) -> None:
        """Copies a weight whose axes, in Keras's order, are `order` of the tensor's."""
        shape = tuple(tensor.shape[i] for i in order)
        back = sorted(range(len(order)), key=order.__getitem__)
        tensor.copy_(torch.from_numpy(weight(layer, name, shape)).permute(back))

    if isinstance(module, nn.Conv2d):
        put(module.weight, "kernel", (2, 3, 1, 0))
    elif isinstance(module, nn.Linear):
        put(module.weight, "kernel", (1, 0))
    elif isinstance(module, nn.BatchNorm2d):
        put(module.weight, "gamma")
        put(module.bias, "beta")
        put(module.running_mean, "moving_mean")
        put(module.running_var, "moving_variance")
        return
    else:
        return
    if module.bias is not None:
        put(module.bias, "bias")
