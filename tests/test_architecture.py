"""The shape of the package: imports point one way, the compiler asks no op for its name.

Who may import whom::

    ir  <-  passes  <-  codegen  <-  runtime  <-  compiler  <-  programs  <-  training

`native` turns kernel text into object code and knows nothing of the graphs behind it.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import graphkeras
from graphkeras.compiler import PIPELINE
from graphkeras.ir import OPS
from graphkeras.training.steps import CODE_SETTINGS

ROOT = Path(graphkeras.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

ALLOWED = {
    "errors": set(),
    "config": {"errors", "frozen"},
    "lazy": set(),
    "changes": set(),
    "frozen": set(),
    "locks": set(),
    "ir": {"frozen"},
    "passes": {"ir", "config", "errors", "frozen", "lazy"},
    "native": {"config", "errors", "frozen", "locks"},
    "codegen": {"ir", "passes", "native", "config", "frozen"},
    "runtime": {
        *("changes", "ir", "passes", "codegen", "native"),
        *("config", "errors", "frozen", "locks"),
    },
    "tuning": {"ir", "codegen", "frozen", "runtime", "utils"},
    "compiler": {"ir", "passes", "codegen", "frozen", "runtime", "tuning", "config"},
    "programs": {"ir", "passes", "runtime", "config", "compiler"},
}
"""What each part of the compiler may import."""

EXCEPTIONS = {
    # Source text for Numba, like a generated kernel.
    ("runtime/launcher_kernels.py", "codegen.cpu.intrinsics"),
    ("runtime/batch_kernels.py", "codegen.cpu.intrinsics"),
    # `Graph.to_dot`, inside the method.
    ("ir/graph.py", "viz"),
}

HEAVY = ("numba", "llvmlite", "networkx", "graphviz", "rich", "pandas")
"""Imported at the first use, so that `import graphkeras` is fast."""


class Import(NamedTuple):
    file: str
    line: int
    module: str
    at_top: bool


def package_path(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def imported_modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports name whole modules"
        assert node.module is not None
        if node.module == "graphkeras":
            return [f"graphkeras.{alias.name}" for alias in node.names]
        return [node.module]
    return []


def imports(file: Path) -> Iterator[Import]:
    """Every import that runs; those for type checkers only do not."""

    def walk(node: ast.AST, at_top: bool) -> Iterator[Import]:
        for module in imported_modules(node):
            yield Import(package_path(file), getattr(node, "lineno", 0), module, at_top)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        inside = at_top and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inside)

    yield from walk(tree(file), True)


ALL = [found for file in FILES for found in imports(file)]


def part(path: str) -> str:
    return path.split("/")[0].removesuffix(".py")


def inner(module: str) -> str | None:
    """`graphkeras.ir.graph` -> `ir.graph`; None for other packages."""
    root, _, rest = module.partition(".")
    return rest or "graphkeras" if root == "graphkeras" else None


@pytest.mark.parametrize("name", ALLOWED)
def test_imports_point_one_way(name: str) -> None:
    assert any(part(package_path(file)) == name for file in FILES)
    wrong = []
    for found in ALL:
        target = inner(found.module)
        if part(found.file) != name or target is None or (found.file, target) in EXCEPTIONS:
            continue
        # `runtime.disk_cache` asks the package for its place and version.
        if target != "graphkeras" and target.split(".")[0] not in {name, *ALLOWED[name]}:
            wrong.append(f"{found.file}:{found.line} imports {found.module}")
    assert not wrong


def test_every_exception_is_used() -> None:
    assert {(i.file, inner(i.module)) for i in ALL} >= EXCEPTIONS


def test_only_the_compiler_sees_the_whole_line() -> None:
    stages = {"passes", "codegen", "runtime"}
    seen: dict[str, set[str]] = {}
    for found in ALL:
        target = inner(found.module)
        if target is not None and (found.file, target) not in EXCEPTIONS:
            seen.setdefault(found.file, set()).add(target.split(".")[0])
    # The runtime itself reads the data classes of the plan and of the program.
    outside = {file: parts for file, parts in seen.items() if part(file) != "runtime"}
    assert [file for file, parts in outside.items() if stages <= parts] == ["compiler.py"]


def test_pictures_are_imported_by_those_who_draw_and_when_they_draw() -> None:
    users = [i for i in ALL if (inner(i.module) or "").split(".")[0] == "viz"]
    users = [i for i in users if part(i.file) != "viz"]
    assert users
    assert {part(i.file) for i in users} <= {"cli", "utils", "ir"}
    assert not [i for i in users if i.at_top and part(i.file) != "cli"]


def test_heavy_packages_are_imported_inside_functions() -> None:
    # Generated kernels import these files, and only when something is compiled.
    native = {
        "codegen/cpu/channel_tile.py",
        "codegen/cpu/intrinsics.py",
        "codegen/cpu/microkernel.py",
        "codegen/cpu/rates.py",
        "codegen/cpu/winograd_tile.py",
        "codegen/cpu/winner_tile.py",
        "runtime/intrinsics.py",
        "runtime/launcher_kernels.py",
    }
    wrong = [
        f"{i.file}:{i.line} imports {i.module}"
        for i in ALL
        if i.at_top and i.module.split(".")[0] in HEAVY and i.file not in native
        if part(i.file) not in ("cli", "viz", "native")
    ]
    assert not wrong


def test_import_graphkeras_loads_nothing_heavy() -> None:
    code = f"import sys, graphkeras; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"


def strings(file: Path) -> Iterator[ast.Constant]:
    """String literals of a file but its docstrings."""
    whole = tree(file)
    prose = {id(node.value) for node in ast.walk(whole) if isinstance(node, ast.Expr)}
    for node in ast.walk(whole):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node


REWRITES = ("batch_moments.py", "skip_unread.py", "split_products.py", "winograd.py")
"""Passes that are about certain ops, as the rules in `passes/rules/` are."""
BLIND = [
    *(file for file in sorted((ROOT / "passes").glob("*.py")) if file.name not in REWRITES),
    *sorted((ROOT / "codegen").rglob("*.py")),
    ROOT / "runtime" / "examples.py",
]
MADE = {
    # A copy is emitted; a constant is left out of a kernel's name; a place is called so too.
    ("passes/schedule.py", "reshape"),
    ("codegen/lower.py", "constant"),
    ("passes/memory.py", "constant"),
    # Cotangents are added up, and zeros spread out.
    ("passes/autodiff.py", "add"),
    ("passes/autodiff.py", "broadcast"),
    # A vector is spread over the channels, weights are scaled, a shift follows.
    ("passes/fold_scales.py", "broadcast"),
    ("passes/fold_scales.py", "mul"),
    ("passes/fold_scales.py", "add"),
    # Parts of images are added up.
    ("passes/split_reductions.py", "reduce_sum"),
    # What a batch is made with, from all samples.
    *(("passes/gather_samples.py", op) for op in ("cast", "gather", "reshape", "slice")),
    # What panels are made with.
    *(("passes/panels.py", op) for op in ("pad", "reshape", "slice", "transpose")),
}


@pytest.mark.parametrize("file", BLIND, ids=package_path)
def test_passes_and_code_generation_know_no_op_by_name(file: Path) -> None:
    # Ops are named in templates and intrinsics too ("min({0}, {1})"), never alone.
    names = set(OPS) - {"fused"}
    found = {(package_path(file), s.value) for s in strings(file) if s.value in names}
    assert found <= MADE


def test_files_are_short() -> None:
    lengths = {package_path(f): len(f.read_text(encoding="utf-8").splitlines()) for f in FILES}
    assert {path: n for path, n in lengths.items() if n > 500} == {}


def test_functions_of_the_compiler_are_short() -> None:
    long = [
        f"{package_path(file)}:{node.lineno} {node.name}"
        for file in FILES
        if part(package_path(file)) in ALLOWED
        for node in ast.walk(tree(file))
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 60
    ]
    assert not long


def test_every_setting_that_compilers_read_is_part_of_what_names_a_program() -> None:
    # These decide whether a program is looked for at all, or change no program.
    apart = {"check_numbers", "dump", "verify"}
    named = {"cpu", *re.findall(r'setting\("(\w+)"\)', source("runtime/program_cache.py"))}
    files = [file for name in ("ir", "passes", "codegen") for file in (ROOT / name).rglob("*.py")]
    read = {
        name
        for file in files
        for name in re.findall(r'setting\("(\w+)"\)', file.read_text(encoding="utf-8"))
    }
    assert read - apart <= named
    # A model keeps its steps by these, and by the compiler of kernels.
    assert {*named, "compiler"} == {*CODE_SETTINGS}


def source(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", ["codegen/cpu/contract", "tuning"])
def test_a_package_that_lists_its_files_lists_them_all(folder: str) -> None:
    files = {file.name for file in (ROOT / folder).glob("*.py")} - {"__init__.py"}
    assert (
        set(re.findall(r"\w+\.py", ast.get_docstring(tree(ROOT / folder / "__init__.py")))) == files
    )


def test_the_design_page_describes_every_pass_of_the_pipeline() -> None:
    page = (ROOT.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    described = re.findall(r"^\| \*?`?(\w+)", page, re.MULTILINE)
    assert {each.name for each in PIPELINE} <= {*described}
