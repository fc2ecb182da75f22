"""Kernels for 64-bit Arm, cross-compiled: what an x86 machine can show of them without running."""

from __future__ import annotations

import re

import llvmlite.binding as llvm
import pytest

from graphkeras import config
from graphkeras.codegen.generate import generate
from graphkeras.compiler import optimize
from graphkeras.ir import Builder, Graph, Size, TensorType
from graphkeras.native import target
from graphkeras.runtime import kernel_cache

N = Size.symbol("N")
ARM = target.Cpu("neoverse-n1", "")


@pytest.fixture
def arm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans for NEON, and machine code for a core that has it."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    triple = llvm.Target.from_triple("aarch64-unknown-linux-gnu")
    machine = triple.create_target_machine(cpu=ARM.name, opt=3, codemodel="jitdefault", jit=True)
    monkeypatch.setitem(target._machines, ARM, machine)
    monkeypatch.setattr(kernel_cache, "cpu", lambda: ARM)
    monkeypatch.setattr(config, "_chosen", {"cpu": "neon", "winograd": "never"})


def product() -> Graph:
    b = Builder("product")
    x, y = b.input(TensorType((N, 300)), "x"), b.input(TensorType((300, 128)), "y")
    dims = {"lhs_batch": (), "rhs_batch": (), "lhs_contract": (1,), "rhs_contract": (0,)}
    return b.build([b.emit("dot_general", x, y, **dims)])


def convolution() -> Graph:
    b = Builder("convolution")
    x, w = b.input(TensorType((N, 14, 14, 32)), "x"), b.input(TensorType((3, 3, 32, 64)), "w")
    ones = {"strides": (1, 1), "lhs_dilation": (1, 1), "rhs_dilation": (1, 1), "groups": 1}
    return b.build([b.emit("conv", x, w, padding=((1, 1), (1, 1)), **ones)])


def loops(assembly: str) -> list[list[str]]:
    """The instructions of each innermost loop: from a label to the jump back to it."""
    found, label, body = [], "", []
    for line in map(str.strip, assembly.splitlines()):
        if line.startswith(".LBB"):
            label, body = line.split(":")[0], []
        elif line and not line.startswith((".", "//")):
            body.append(line)
            if re.match(rf"(b\.\w+|cbn?z\s+\w+,|tbn?z\s+.*,)\s*{re.escape(label)}$", line):
                found.append(list(body))
    return found


def sums(body: list[str]) -> set[str]:
    """Registers that products are added to."""
    return {line.split()[1] for line in body if re.match(r"fmla\s+v\d+\.4s", line)}


def density(body: list[str]) -> float:
    """Multiply-adds among the instructions."""
    return sum(line.startswith("fmla") for line in body) / len(body)


@pytest.mark.usefixtures("arm")
@pytest.mark.parametrize("graph", [product(), convolution()], ids=lambda graph: graph.name)
def test_the_sums_of_a_tile_stay_in_neon_registers(graph: Graph) -> None:
    (launch,) = generate(optimize(graph).records[-1].after).launches
    hot = [body for body in loops(kernel_cache.assembly(launch.kernel)) if len(sums(body)) >= 20]
    assert hot
    assert not [line for body in hot for line in body if "[sp" in line]
    # The first tile of a convolution copies B while it multiplies; the others only multiply.
    assert max(map(density, hot)) > 0.65
