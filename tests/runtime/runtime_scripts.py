"""Python scripts in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import graphkeras

Script = Callable[..., str]


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
