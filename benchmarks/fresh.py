"""What is measured on a whole process: start-up, compiles, memory.

    python -m benchmarks.fresh first_step graphkeras     prints one number

Each function imports the library itself and returns seconds, megabytes (2**20 bytes) or a ratio.
"""

from __future__ import annotations

import importlib
import statistics
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.systems import OURS, SYSTEMS

TURNS_SECONDS = 20.0
"""Time for two models that take turns."""


def _import(system: str) -> Any:
    return importlib.import_module("graphkeras" if system == OURS else "keras")


def plain_import_time(system: str) -> float:
    """Seconds of the import alone, in a process that has loaded nothing else."""
    module = "graphkeras" if system == OURS else "keras"
    clock = "from time import perf_counter as now; begin = now()"
    code = f"{clock}; import {module}; print(now() - begin)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def import_time(system: str) -> float:
    """Seconds until the names that a program begins with are there; modules may load lazily."""
    begin = perf_counter()
    keras = _import(system)
    for name in ("Input", "Model", "Sequential", "layers", "losses", "metrics", "optimizers"):
        getattr(keras, name)
    return perf_counter() - begin


def first_predict(system: str) -> float:
    """Seconds from before the import to the answer of `predict` on one image."""
    begin = perf_counter()
    model, work = _model(system, "convnet"), _prediction("convnet")
    model.predict(work, verbose=0)
    return perf_counter() - begin


def first_step(system: str) -> float:
    """Seconds of the first `train_on_batch` of a model that is built."""
    from benchmarks.models import MODELS
    from benchmarks.work import Training

    model = _model(system, "convnet")
    x, y = Training("convnet", 128, 1).data(MODELS["convnet"].image)
    begin = perf_counter()
    model.train_on_batch(x, y)
    return perf_counter() - begin


def first_resnet50(system: str) -> float:
    """Seconds of the first `predict_on_batch` of a ResNet-50 that is built."""
    model, x = _model(system, "resnet50"), _prediction("resnet50")
    begin = perf_counter()
    model.predict_on_batch(x)
    return perf_counter() - begin


def memory_of_fit(system: str) -> float:
    """Peak resident megabytes of an epoch over as many images as MNIST has."""
    return _memory_of_fit(system, 469)


def memory_of_short_fit(system: str) -> float:
    """Peak resident megabytes of an epoch of 20 steps."""
    return _memory_of_fit(system, 20)


def _memory_of_fit(system: str, steps: int) -> float:
    from benchmarks.models import MODELS
    from benchmarks.work import Training

    model = _model(system, "convnet")
    x, y = Training("convnet", 128, steps).data(MODELS["convnet"].image)
    model.fit(x[:60000], y[:60000], batch_size=128, epochs=1, verbose=0)
    # `ru_maxrss` would also count the process this one was forked from.
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system does not tell the peak resident memory of a process")


def default_by_tuned(system: str, key: str) -> float:
    """Time of a row's work with the cost model's kernels by its time with autotuned ones.

    Both models are in one process and take turns, each first in every second one. The median of
    the ratios counts: least times of work this long differ by a sixth on a shared machine.
    """
    from benchmarks.rows import ROWS
    from benchmarks.systems.keras_api import prepare_with

    keras, work = _import(system), ROWS[key].work
    works = [prepare_with(keras, work, {"autotune": flag}) for flag in (False, True)]
    ratios: list[float] = []
    end = perf_counter() + TURNS_SECONDS
    while perf_counter() < end or len(ratios) < 4:
        seconds = [0.0, 0.0]
        for i in (0, 1) if len(ratios) % 2 else (1, 0):
            begin = perf_counter()
            works[i].run()
            seconds[i] = (perf_counter() - begin) / works[i].units
        ratios.append(seconds[0] / seconds[1])
    return statistics.median(ratios)


def _model(system: str, name: str, **given: Any) -> Any:
    from benchmarks.systems.keras_api import built

    jit = SYSTEMS[system].options.get("jit_compile")
    return built(_import(system), name, given if jit is None else {"jit_compile": jit})


def _prediction(name: str) -> Any:
    from benchmarks.models import MODELS
    from benchmarks.work import Prediction

    return Prediction(name, 1).data(MODELS[name].image)


if __name__ == "__main__":
    print(globals()[sys.argv[1]](*sys.argv[2:]))
