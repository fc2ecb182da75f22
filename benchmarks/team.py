"""The processes of the systems, of which only the one whose turn it is runs."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.systems import SYSTEMS

ROOT = Path(__file__).parents[1]
PATIENCE = 300.0
"""Seconds a system may take for one answer."""

# Results of up to 32 MB (the most glibc allows) stay in the heap and are not given back to the
# system, so that no peer pays page faults for the memory of each result.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(8 << 30)}


class SystemFailed(Exception):
    """A system answered with an error, not at all, or ended."""


def interpreter(name: str, peers: str) -> str:
    """The Python that runs a system: this one, or that of the peers."""
    return peers if SYSTEMS[name].peer else sys.executable


def environment(name: str) -> dict[str, str]:
    """Variables of a system's process."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    # Where it is forbidden to keep compiled modules, each start compiles every module again.
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **quiet, **SYSTEMS[name].environment}


def installed(name: str, peers: str) -> bool:
    """Whether the packages of a system are there."""
    code = "import sys, importlib.util as u; sys.exit(not all(map(u.find_spec, sys.argv[1:])))"
    command = [interpreter(name, peers), "-c", code, *SYSTEMS[name].needs]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


class Member:
    """The process of one system. It is stopped except while it answers.

    Args:
        name: A key of `SYSTEMS`.
        peers: Interpreter of the peers.
        log: File for what it prints.
    """

    def __init__(self, name: str, peers: str, log: Path) -> None:
        self.name = name
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [interpreter(name, peers), "-m", "benchmarks.worker", name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                env={**environment(name), **MALLOC},
            )
        self._awake = True

    def ask(self, verb: str, key: str) -> dict[str, Any]:
        """Sends one command of `worker.py` and returns the answer.

        Raises:
            SystemFailed: with the error it answered; a process that ends or is silent for
                `PATIENCE` seconds is closed.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            if not self._awake:
                self._process.send_signal(signal.SIGCONT)
            self._process.stdin.write(json.dumps({verb: key}).encode() + b"\n")
            self._process.stdin.flush()
            ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
            line = self._process.stdout.readline() if ready else b""
        except OSError as error:
            self.close()
            raise SystemFailed(f"the process ended: {error}") from error
        if not line:
            problem = "the process ended" if ready else f"no answer in {PATIENCE:g} s"
            self.close()
            raise SystemFailed(problem)
        self._process.send_signal(signal.SIGSTOP)
        self._awake = False
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise SystemFailed(answer["error"])
        return answer

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


class Team:
    """The members that were asked so far; one that ended starts again when it is asked."""

    def __init__(self, peers: str, log: Path) -> None:
        self.peers, self._log = peers, log
        self._members: dict[str, Member] = {}

    def ask(self, name: str, verb: str, key: str) -> dict[str, Any]:
        """`Member.ask`, of the member of that name."""
        member = self._members.get(name)
        if member is None or not member.alive:
            member = self._members[name] = Member(name, self.peers, self._log)
        return member.ask(verb, key)

    def close(self) -> None:
        """Ends all processes."""
        for member in self._members.values():
            if member.alive:
                member.close()
        self._members.clear()

    def __enter__(self) -> Team:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
