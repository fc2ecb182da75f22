"""A process that compiles functions for another one: `python -m graphkeras.native.worker`.

It writes `True` once it can work, then answers each pickled `(unit, compiler, target)` with its
object code, or None where it does not compile, until its input ends. See `workers.py`.
"""

from __future__ import annotations

import os
import pickle
import sys

from graphkeras.native.compiler import compile_object
from graphkeras.native.errors import KernelCompileError


def main() -> None:
    """Serves standard input until its end."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what is printed is no answer
    pickle.dump(True, answers)
    answers.flush()
    while True:
        try:
            unit, compiler, target = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            code = compile_object(unit, compiler, target)
        except KernelCompileError:
            code = None
        pickle.dump(code, answers)
        answers.flush()


if __name__ == "__main__":
    main()
