"""A kernel cache of its own for the tests of the runtime, and programs made by hand."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import graphkeras
from graphkeras import config

Script = Callable[..., str]


@pytest.fixture(scope="session")
def session_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphkeras-home")


@pytest.fixture(autouse=True)
def _home(session_home: Path) -> Iterator[None]:
    with config.override(home=session_home):
        yield


@pytest.fixture
def run_script(session_home: Path) -> Script:
    """Runs a Python script in a process of its own and returns what it printed."""

    def run(script: str, home: Path = session_home, **environment: str) -> str:
        done = start_script(script, home, **environment)
        output, errors = done.communicate(timeout=240)
        assert done.returncode == 0, f"exit code {done.returncode}\n{errors}"
        return output

    return run


def start_script(script: str, home: Path, **environment: str) -> subprocess.Popen[str]:
    root = Path(graphkeras.__file__).parents[1]
    here = Path(__file__).parent
    variables = {**os.environ, "GRAPHKERAS_HOME": str(home), **environment}
    variables["PYTHONPATH"] = os.pathsep.join([str(root), str(here)])
    return subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(script)],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
