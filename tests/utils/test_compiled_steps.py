"""`utils.compiled_steps`: the executables behind a model."""

from __future__ import annotations

import numpy as np

import graphkeras as keras


def small_model(**options) -> keras.Model:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse", **options)
    return model


def test_steps_appear_when_they_are_needed():
    model = small_model()
    assert keras.utils.compiled_steps(model) == {}
    x, y = np.ones((8, 3), "float32"), np.ones((8, 2), "float32")
    model.fit(x, y, verbose=0)
    assert list(keras.utils.compiled_steps(model)) == ["train_step"]
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    steps = keras.utils.compiled_steps(model)
    assert list(steps) == ["train_step", "test_step", "predict_step"]

    step = steps["train_step"]
    assert step.launch_count == len(step.program.graph.nodes)
    assert [record.name for record in step.records][-2:] == ["fuse", "schedule"]
    memory = step.layout({"N": 8})
    assert memory.lower_bound_bytes <= memory.peak_bytes <= memory.unplanned_bytes


def test_another_batch_size_is_the_same_step():
    model = small_model()
    x, y = np.ones((8, 3), "float32"), np.ones((8, 2), "float32")
    model.train_on_batch(x, y)
    step = keras.utils.compiled_steps(model)["train_step"]
    model.train_on_batch(x[:5], y[:5])
    assert keras.utils.compiled_steps(model)["train_step"] is step


def test_a_model_that_runs_eagerly_has_no_compiled_steps():
    model = small_model(run_eagerly=True)
    model.train_on_batch(np.ones((8, 3), "float32"), np.ones((8, 2), "float32"))
    assert keras.utils.compiled_steps(model) == {}
