"""Instructions kernels are made of: what this machine runs, and what it is told to keep to."""

from __future__ import annotations

import platform
from collections.abc import Iterator

import llvmlite.binding as llvm
import pytest

from graphkeras import config
from graphkeras.codegen.cpu.target import NEON, target
from graphkeras.errors import ConfigError
from graphkeras.native.target import cpu, levels

X86 = dict.fromkeys(("avx2", "fma", "bmi2"), True)
WIDE = X86 | {f"avx512{part}": True for part in ("f", "bw", "dq", "vl")}


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    levels.cache_clear()
    yield
    levels.cache_clear()


def become(patch: pytest.MonkeyPatch, machine: str, features: dict[str, bool]) -> None:
    patch.setattr(platform, "machine", lambda: machine)
    patch.setattr(llvm, "get_host_cpu_features", lambda: features)


@pytest.mark.parametrize(
    ("machine", "features", "runs"),
    [
        ("x86_64", WIDE, ("avx512", "avx2", "generic")),
        ("AMD64", WIDE | {"avx512dq": False}, ("avx2", "generic")),
        ("x86_64", X86 | {"fma": False}, ("generic",)),
        # LLVM names no features where it does not know the Arm core.
        ("aarch64", {}, ("neon", "generic")),
        ("arm64", {"neon": True}, ("neon", "generic")),
        ("riscv64", {}, ("generic",)),
    ],
)
def test_what_a_machine_runs(
    machine: str,
    features: dict[str, bool],
    runs: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    become(monkeypatch, machine, features)
    assert levels() == runs
    assert target().name == runs[0]


def test_instructions_this_machine_lacks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    become(monkeypatch, "x86_64", X86)
    with config.override(cpu="avx512"), pytest.raises(ConfigError) as caught:
        cpu()
    assert str(caught.value) == (
        "setting 'cpu': this machine (x86_64) does not run 'avx512' instructions; "
        "it runs 'avx2', 'generic'\n"
        "  leave GRAPHKERAS_CPU empty for the widest of them"
    )


def test_plans_can_be_made_for_another_machine() -> None:
    with config.override(cpu="neon"):
        assert target() is NEON
