"""The settings table and the error helpers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from graphkeras import config
from graphkeras.errors import ConfigError, UnknownNameError, did_you_mean, unknown_name


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("GRAPHKERAS_")]:
        monkeypatch.delenv(variable)
    assert config.setting("nan_loss") == "raise"
    assert config.setting("verify") is True
    assert config.setting("num_threads") == 0
    assert config.setting("dump") is None
    assert config.setting("home") == Path.home() / ".graphkeras"


def test_the_program_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHKERAS_NAN_LOSS", "warn")
    assert config.setting("nan_loss") == "warn"
    with config.override(nan_loss="ignore"):
        assert config.setting("nan_loss") == "ignore"
    assert config.setting("nan_loss") == "warn"


def test_environment_values_are_parsed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRAPHKERAS_VERIFY", "0")
    monkeypatch.setenv("GRAPHKERAS_NUM_THREADS", "3")
    monkeypatch.setenv("GRAPHKERAS_DUMP", str(tmp_path))
    assert config.setting("verify") is False
    assert config.setting("num_threads") == 3
    assert config.setting("dump") == tmp_path


def test_reset_forgets_what_was_set() -> None:
    config.set("num_threads", 2)
    config.reset("num_threads")
    assert config.setting("num_threads") == 0


def test_unknown_setting_names_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'num_threads'"):
        config.setting("num_thread")
    with pytest.raises(ValueError, match="unknown setting 'zzz'"):
        config.set("zzz", 1)


def test_bad_value_tells_where_it_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHKERAS_NAN_LOSS", "explode")
    with pytest.raises(ConfigError) as info:
        config.setting("nan_loss")
    text = str(info.value)
    assert "expected one of 'raise', 'warn', 'ignore'" in text
    assert "received 'explode' from environment variable GRAPHKERAS_NAN_LOSS" in text
    with pytest.raises(ConfigError, match="0 or more"):
        config.set("num_threads", -1)
    with pytest.raises(ConfigError, match="greater than 0"):
        config.set_epsilon(0)
    with pytest.raises(ConfigError, match="'float32', 'float64'"):
        config.set_floatx("float8")


def test_override_restores_after_an_error() -> None:
    with pytest.raises(RuntimeError), config.override(floatx="float64"):
        raise RuntimeError
    assert config.floatx() == "float32"


def test_keras_config_functions() -> None:
    with config.override():
        config.set_floatx("float64")
        config.set_epsilon(1e-5)
        config.set_image_data_format("channels_first")
        config.disable_interactive_logging()
        assert config.floatx() == "float64"
        assert config.epsilon() == 1e-5
        assert config.image_data_format() == "channels_first"
        assert not config.is_interactive_logging_enabled()
        config.enable_interactive_logging()
        assert config.is_interactive_logging_enabled()
    assert config.epsilon() == 1e-7
    assert config.backend() == "graphkeras"


def test_every_setting_is_documented_and_named_alike() -> None:
    table = config.table()
    for row in config.SETTINGS:
        assert row.variable == f"GRAPHKERAS_{row.name.upper()}"
        assert row.variable in table
        assert row.meaning in table


def test_the_module_prints_its_table() -> None:
    environment = {**os.environ, "GRAPHKERAS_NUM_THREADS": "7"}
    command = [sys.executable, "-m", "graphkeras.config"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "GRAPHKERAS_HOME" in result.stdout
    assert [line for line in result.stdout.splitlines() if "num_threads" in line and " 7 " in line]


def test_did_you_mean() -> None:
    assert did_you_mean("adm", ["sgd", "adam"]) == "Did you mean 'adam'?"
    assert did_you_mean("ADAM", ["Adam"]) == "Did you mean 'Adam'?"
    assert did_you_mean("qqqq", ["sgd", "adam"]) == ""


def test_unknown_name_is_a_value_error() -> None:
    error = unknown_name("optimizer", "adm", ["sgd", "adam"])
    assert isinstance(error, UnknownNameError)
    assert isinstance(error, ValueError)
    assert str(error) == "Unknown optimizer 'adm'. Did you mean 'adam'?\n  known: adam, sgd"
