"""torch on the CPU: channels-last, hand-written training loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from benchmarks.models import MODELS
from benchmarks.systems.calls import repeated
from benchmarks.systems.torch_models import network
from benchmarks.work import Convolution, Prediction, Prepared, Product, Training, Work, sample_of


def prepare(work: Work) -> Prepared:
    """The work by torch."""
    if isinstance(work, Product):
        return _product(work)
    if isinstance(work, Convolution):
        return _convolution(work)
    if isinstance(work, Training):
        return _training(work)
    if isinstance(work, Prediction):
        return _prediction(work)
    raise NotImplementedError(f"torch has no call for {work}")


def _product(work: Product) -> Prepared:
    x, w, dy = (torch.from_numpy(a) for a in work.arrays())
    a, b = {
        "forward": (x, w),
        "input gradient": (dy, w.T),
        "weight gradient": (x.T, dy),
    }[work.direction]
    result = torch.mm(a, b)
    return repeated(lambda: torch.mm(a, b, out=result), sample_of(result))


def _convolution(work: Convolution) -> Prepared:
    images, kernel, cotangent = (torch.from_numpy(a) for a in work.arrays())
    # Views of channels-last memory: that is the layout torch looks at.
    x, dy = images.permute(0, 3, 1, 2), cotangent.permute(0, 3, 1, 2)
    w = kernel.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
    side = [work.window // 2] * 2
    wanted = [work.direction == "input gradient", work.direction == "weight gradient", False]

    def forward() -> torch.Tensor:
        return functional.conv2d(x, w, padding=side, groups=work.groups)

    def backward() -> torch.Tensor:
        found = torch.ops.aten.convolution_backward(
            dy, x, w, None, [1, 1], side, [1, 1], False, [0, 0], work.groups, wanted
        )
        return found[0] if wanted[0] else found[1]

    call = forward if work.direction == "forward" else backward
    order = (2, 3, 1, 0) if work.direction == "weight gradient" else (0, 2, 3, 1)
    with torch.no_grad():
        return repeated(torch.no_grad()(call), sample_of(call().permute(order).numpy()))


def _optimizer(name: str, parameters: Any) -> torch.optim.Optimizer:
    """As Keras's: the same rates and epsilons. Fused where torch has it for the CPU."""
    if name == "adam":
        return torch.optim.Adam(parameters, lr=1e-3, eps=1e-7, fused=True)
    if name == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=1e-3, alpha=0.9, eps=1e-7)
    return torch.optim.SGD(parameters, lr=0.01, momentum=0.9, fused=True)


def _batches(images: Any) -> torch.Tensor:
    x = torch.from_numpy(images)
    return x.permute(0, 3, 1, 2) if x.ndim == 4 else x


def _training(work: Training) -> Prepared:
    torch.manual_seed(0)
    model = network(work.model)
    optimizer = _optimizer(MODELS[work.model].optimizer, model.parameters())
    images, labels = work.data(MODELS[work.model].image)
    x, y = _batches(images), torch.from_numpy(labels).long()
    with torch.inference_mode():
        sample = sample_of(torch.softmax(model.eval()(x[:4]), 1).numpy())
    model.train()

    def run() -> float:
        total, hits = torch.zeros(()), torch.zeros(())
        for chosen in torch.randperm(len(y)).split(work.batch):
            logits = model(x[chosen])
            loss = functional.cross_entropy(logits, y[chosen])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.detach()
            hits += (logits.detach().argmax(1) == y[chosen]).sum()
        return float(total + hits)

    run()
    return Prepared(run, work.steps, sample)


def inference(model: torch.nn.Module, x: torch.Tensor) -> Callable[[], torch.Tensor]:
    """A call of the traced, frozen and optimised model: batch-norm folded, relus fused."""
    model.eval()
    with torch.no_grad():
        frozen = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(model, x)))

    def call() -> torch.Tensor:
        with torch.inference_mode():
            return frozen(x)

    for _ in range(3):  # the first calls of a traced model specialise it
        call()
    return call


def _prediction(work: Prediction) -> Prepared:
    model = torch.nn.Sequential(network(work.model), torch.nn.Softmax(1))
    call = inference(model, _batches(work.data(MODELS[work.model].image)))
    return repeated(call, sample_of(call().numpy()))
