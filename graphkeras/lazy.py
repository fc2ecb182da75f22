"""Names of a package that load their file when they are first used.

A program uses few of the layers, metrics and passes there are, and each file takes half a
millisecond to load.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any


def loader(
    package: str, files: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and the `__dir__` of a package.

    Args:
        package: Its `__name__`.
        files: Module in the package -> the names it has for the package, with spaces between. A
            module beside the package begins with a dot. No name may be that of a module.
    """
    where = {name: file for file, names in files.items() for name in names.split()}

    def load(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f".{where[name]}", package), name)
        setattr(sys.modules[package], name, value)
        return value

    return load, lambda: sorted({*vars(sys.modules[package]), *where})


class Things(Mapping[str, Any]):
    """The classes and functions of a package by name; one that is asked for is loaded.

    Args:
        package: Its `__name__`.
        files: As for `loader`.
        without: A name that is left out.
        classes: Whether there are names of classes, which begin with a capital.
        functions: Whether there are names of functions.
    """

    def __init__(
        self,
        package: str,
        files: Mapping[str, str],
        without: str = "",
        classes: bool = True,
        functions: bool = True,
    ) -> None:
        self._package = package
        names = (name for each in files.values() for name in each.split() if name != without)
        self._names = {n: n for n in names if (classes if n[0].isupper() else functions)}

    def __getitem__(self, name: str) -> Any:
        return getattr(sys.modules[self._package], self._names[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
