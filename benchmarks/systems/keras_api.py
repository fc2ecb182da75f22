"""Models through the Keras API: Keras on its backends, and graphkeras by the same calls."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.models import MODELS, optimizer, set_weights
from benchmarks.systems.calls import repeated
from benchmarks.work import Prediction, Prepared, Training, Work, sample_of


def prepare(work: Work, jit_compile: bool | None = None) -> Prepared:
    """The work by the installed Keras.

    Args:
        work: Training or prediction.
        jit_compile: That argument of `compile`; None for the backend's default.
    """
    import keras

    settings = {} if jit_compile is None else {"jit_compile": jit_compile}
    return prepare_with(keras, work, settings)


def built(keras: Any, name: str, settings: dict[str, Any]) -> Any:
    """A compiled model of `models.py` with its weights set."""
    keras.utils.set_random_seed(0)
    model = MODELS[name].build(keras)
    set_weights(model)
    model.compile(
        optimizer(keras, MODELS[name].optimizer),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        **settings,
    )
    return model


def prepare_with(keras: Any, work: Work, settings: dict[str, Any]) -> Prepared:
    """The work by a module with the Keras API; `settings` are arguments of `compile`."""
    if isinstance(work, Training):
        return _training(keras, work, settings)
    if isinstance(work, Prediction):
        return _prediction(keras, work, settings)
    raise NotImplementedError(f"the Keras API has no call for {work}")


def _training(keras: Any, work: Training, settings: dict[str, Any]) -> Prepared:
    model = built(keras, work.model, settings)
    x, y = work.data(MODELS[work.model].image)
    sample = sample_of(model.predict_on_batch(x[:4]))

    def run() -> None:
        model.fit(x, y, batch_size=work.batch, epochs=1, verbose=0)

    run()
    return Prepared(run, work.steps, sample)


def _prediction(keras: Any, work: Prediction, settings: dict[str, Any]) -> Prepared:
    model = built(keras, work.model, settings)
    x = work.data(MODELS[work.model].image)
    if work.call == "predict":
        call = partial(model.predict, x, batch_size=work.batch, verbose=0)
    else:
        call = partial(model.predict_on_batch, x)
    sample = sample_of(call())
    return repeated(lambda: np.asarray(call()), sample)
