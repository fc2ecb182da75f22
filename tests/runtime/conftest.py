"""A kernel cache of its own for the tests of the runtime, and programs made by hand."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from graphkeras import config

sys.path.insert(0, str(Path(__file__).parent))

from runtime_scripts import Script, start_script


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
