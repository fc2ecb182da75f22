"""onnxruntime and OpenVINO: the networks exported from torch, images channels-first."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.models import MODELS
from benchmarks.systems.calls import repeated
from benchmarks.systems.torch_models import network
from benchmarks.work import Prediction, Prepared, Work, sample_of


def prepare(work: Work, engine: str) -> Prepared:
    """Inference by one of the two engines, in its best setting for latency.

    Args:
        work: A prediction.
        engine: `"onnxruntime"` or `"openvino"`.
    """
    if not isinstance(work, Prediction):
        raise NotImplementedError(f"{engine} has no call for {work}")
    x = work.data(MODELS[work.model].image)
    x = np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if x.ndim == 4 else x
    text = _exported(work.model, x)
    call = {"onnxruntime": _onnxruntime, "openvino": _openvino}[engine](text, x)
    return repeated(call, sample_of(call()))


def _exported(name: str, x: Any) -> bytes:
    """The network as ONNX for this batch size, batch normalisation folded."""
    model = torch.nn.Sequential(network(name), torch.nn.Softmax(1)).eval()
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (torch.from_numpy(x),), file, dynamo=False, input_names=["x"])
    return file.getvalue()


def _onnxruntime(text: bytes, x: Any) -> Callable[[], Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(text, providers=["CPUExecutionProvider"])
    given = {"x": x}
    return lambda: session.run(None, given)[0]


def _openvino(text: bytes, x: Any) -> Callable[[], Any]:
    import openvino

    core = openvino.Core()
    # On a machine with bfloat16 instructions it would compute in bfloat16 by itself.
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(core.read_model(text), "CPU", settings).create_infer_request()
    given = {0: x}
    return lambda: request.infer(given, share_inputs=True, share_outputs=True)[0]
