"""Every setting of graphkeras in one table, and the functions of `keras.config`.

A setting has a value set in the program (`set`), else one from its environment variable, else
its default::

    >>> setting("nan_loss")
    'raise'
    >>> set("nan_loss", "warn")

`python -m graphkeras.config` prints the table.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from graphkeras.errors import ConfigError, did_you_mean
from graphkeras.frozen import frozen

if TYPE_CHECKING:
    from pathlib import Path


def _choice(*allowed: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"expected one of {', '.join(repr(a) for a in allowed)}")
        return str(value)

    return parse


def _flag(value: Any) -> bool:
    words = {"1": True, "true": True, "on": True, "yes": True}
    words |= {"0": False, "false": False, "off": False, "no": False, "": False}
    word = str(value).strip().lower()
    if word not in words:
        raise ValueError("expected a flag: 1, true, on, yes or 0, false, off, no")
    return words[word]


def _count(value: Any) -> int:
    if isinstance(value, bool) or not str(value).strip().isdigit():
        raise ValueError("expected a whole number, 0 or more")
    return int(value)


def _positive(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = 0.0
    if not number > 0:
        raise ValueError("expected a number greater than 0")
    return number


def _path(value: Any) -> Path:
    # 5 ms, and no program asks for a path before it compiles something.
    from pathlib import Path

    return Path(os.fspath(value)).expanduser()


def _path_or_none(value: Any) -> Path | None:
    return None if value is None or value == "" else _path(value)


@frozen
class Setting:
    """One row of the table."""

    name: str
    variable: str
    """Name of the environment variable."""
    default: Any
    meaning: str
    parse: Callable[[Any], Any]
    """Checks a value given in the program or as text; raises `ValueError` on a bad one."""


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "home",
        "GRAPHKERAS_HOME",
        "~/.graphkeras",
        "folder of downloaded data sets and of the kernel cache",
        _path,
    ),
    Setting(
        "dump",
        "GRAPHKERAS_DUMP",
        None,
        "folder into which every compile writes its graph after each pass; empty: none",
        _path_or_none,
    ),
    Setting(
        "num_threads",
        "GRAPHKERAS_NUM_THREADS",
        0,
        "threads that run kernels; 0: one for each available core",
        _count,
    ),
    Setting(
        "check_numbers",
        "GRAPHKERAS_CHECK_NUMBERS",
        False,
        "whether every pass is checked against the numbers of the graph before it (slow)",
        _flag,
    ),
    Setting(
        "verify",
        "GRAPHKERAS_VERIFY",
        True,
        "whether the graph is verified before and after every pass",
        _flag,
    ),
    Setting(
        "nan_loss",
        "GRAPHKERAS_NAN_LOSS",
        "raise",
        "what fit does at a loss that is NaN or infinite: raise, warn or ignore",
        _choice("raise", "warn", "ignore"),
    ),
    Setting(
        "cpu",
        "GRAPHKERAS_CPU",
        "",
        "instruction set kernels are made for: avx512, avx2, neon, generic; empty: this machine's",
        _choice("", "avx512", "avx2", "neon", "generic"),
    ),
    Setting(
        "compiler",
        "GRAPHKERAS_COMPILER",
        "llvm",
        "compiler of kernels: llvm, or numba, which is slower and gives the same results",
        _choice("llvm", "numba"),
    ),
    Setting(
        "autotune",
        "GRAPHKERAS_AUTOTUNE",
        False,
        "whether kernels of contractions are chosen by timing them on this machine, once each",
        _flag,
    ),
    Setting(
        "winograd",
        "GRAPHKERAS_WINOGRAD",
        "auto",
        "3x3 convolutions with fewer products, where a NaN or infinity spreads within 2x2 results: "
        "auto (where that is estimated to be faster), always or never",
        _choice("auto", "always", "never"),
    ),
    Setting(
        "floatx",
        "GRAPHKERAS_FLOATX",
        "float32",
        "dtype of weights and of floating-point data: float32 or float64",
        _choice("float32", "float64"),
    ),
    Setting(
        "epsilon",
        "GRAPHKERAS_EPSILON",
        1e-7,
        "small number that keeps divisions and logarithms finite",
        _positive,
    ),
    Setting(
        "image_data_format",
        "GRAPHKERAS_IMAGE_DATA_FORMAT",
        "channels_last",
        "default position of the channels of images: channels_last or channels_first",
        _choice("channels_last", "channels_first"),
    ),
    Setting(
        "interactive_logging",
        "GRAPHKERAS_INTERACTIVE_LOGGING",
        True,
        "whether progress is printed on standard output (on) or sent to the logger `graphkeras`",
        _flag,
    ),
)
"""The table."""

_BY_NAME = {row.name: row for row in SETTINGS}
_chosen: dict[str, Any] = {}
_changes = 0


def _row(name: str) -> Setting:
    if name not in _BY_NAME:
        raise ConfigError(
            f"unknown setting {name!r}. {did_you_mean(name, _BY_NAME)}".rstrip()
            + f"\n  settings: {', '.join(_BY_NAME)}"
        )
    return _BY_NAME[name]


def _checked(row: Setting, value: Any, origin: str) -> Any:
    try:
        return row.parse(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"setting {row.name!r}: {error}, received {value!r} from {origin}\n"
            f"  meaning: {row.meaning}\n"
            f"  default: {row.default!r}"
        ) from error


def setting(name: str) -> Any:
    """Current value of the setting `name`.

    Raises:
        ConfigError: There is no such setting, or its environment variable holds a bad value.
    """
    if name in _chosen:
        return _chosen[name]
    row = _row(name)
    text = os.environ.get(row.variable)
    if text is not None:
        return _checked(row, text, f"environment variable {row.variable}")
    return row.parse(row.default)


def set(name: str, value: Any) -> None:
    """Sets `name` for this process; it wins over the environment variable.

    Raises:
        ConfigError: There is no such setting, or the value does not fit it.
    """
    _chosen[name] = _checked(_row(name), value, "graphkeras.config.set")
    _count_change()


def reset(name: str) -> None:
    """Forgets what `set` chose: the environment variable or the default holds again."""
    _chosen.pop(_row(name).name, None)
    _count_change()


def changes() -> int:
    """How often settings were changed in the program: cheaper to compare than many settings."""
    return _changes


def _count_change() -> None:
    global _changes
    _changes += 1


@contextmanager
def override(**values: Any) -> Iterator[None]:
    """Settings that hold inside a `with` block only."""
    saved = dict(_chosen)
    try:
        for name, value in values.items():
            set(name, value)
        yield
    finally:
        _chosen.clear()
        _chosen.update(saved)
        _count_change()


def floatx() -> str:
    """Default float dtype, `"float32"` unless set."""
    return str(setting("floatx"))


def set_floatx(value: str) -> None:
    """Sets the default float dtype: `"float32"` or `"float64"`.

    Raises:
        ConfigError: Another dtype was given.
    """
    set("floatx", value)


def epsilon() -> float:
    """Small number used in numeric expressions, `1e-7` unless set."""
    return float(setting("epsilon"))


def set_epsilon(value: float) -> None:
    """Sets the small number used in numeric expressions.

    Raises:
        ConfigError: The value is not greater than 0.
    """
    set("epsilon", value)


def image_data_format() -> str:
    """Default position of the channels of images, `"channels_last"` unless set."""
    return str(setting("image_data_format"))


def set_image_data_format(data_format: str) -> None:
    """Sets the default position of image channels: `"channels_last"` or `"channels_first"`.

    Raises:
        ConfigError: Another format was given.
    """
    set("image_data_format", data_format)


def backend() -> str:
    """Name of the backend: always `"graphkeras"`."""
    return "graphkeras"


def enable_interactive_logging() -> None:
    """Progress bars and messages go to standard output (the default)."""
    set("interactive_logging", True)


def disable_interactive_logging() -> None:
    """Progress bars and messages go to the logger `graphkeras` at level INFO."""
    set("interactive_logging", False)


def is_interactive_logging_enabled() -> bool:
    """Whether progress bars and messages go to standard output."""
    return bool(setting("interactive_logging"))


def table() -> str:
    """The settings as text: name, current value, environment variable, meaning."""
    rows = [
        f"{row.name:20} {setting(row.name)!s:24} {row.variable:32} {row.meaning}"
        for row in SETTINGS
    ]
    return "\n".join([f"{'setting':20} {'value':24} {'variable':32} meaning", *rows])


if __name__ == "__main__":
    print(table())
