"""Programs from the cache are those that the compiler makes, and nothing in a file can run."""

from __future__ import annotations

import json
import logging
import os
import pickle
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from runtime_scripts import Script, start_script

import graphkeras
from graphkeras import compiler, config, programs
from graphkeras.codegen.program import Program
from graphkeras.codegen.stored import StoredProgramError, dump_program, load_program
from graphkeras.ir import Builder, Graph, Size, TensorType
from graphkeras.ir.graph import Loc, Node
from graphkeras.ir.text import print_graph
from graphkeras.runtime import disk_cache, program_cache
from graphkeras.runtime.barriers import find_barriers
from graphkeras.runtime.executable import Executable
from graphkeras.runtime.prepared import PreparedExecutable
from tests.graphgen import random_graph, with_loss

Array = NDArray[Any]
N = Size.symbol("N")


@pytest.fixture(autouse=True)
def home(tmp_path: Path) -> Iterator[Path]:
    with config.override(home=tmp_path / "home"):
        yield tmp_path / "home"


def step(scale: float = 0.5, dtype: str = "float32", line: int = 1) -> Graph:
    """`w -= scale * sum(x * tanh(x @ w))` and a table that no input changes."""
    b = Builder("step")
    loc = Loc("model.py", line, "dense")
    x, w = b.input(TensorType((N, 20), dtype), "x"), b.input(TensorType((20, 8), dtype), "w")
    with b.at(loc):
        attrs: dict[str, Any] = {"lhs_batch": (), "rhs_batch": ()}
        y = b.emit("dot_general", x, w, lhs_contract=(1,), rhs_contract=(0,), **attrs)
        slope = b.emit("tanh", y)
        gradient = b.emit("dot_general", x, slope, lhs_contract=(0,), rhs_contract=(0,), **attrs)
        rate = b.emit("broadcast", b.constant(scale, dtype), shape=(20, 8), dims=())
        new = b.emit("sub", w, b.emit("mul", gradient, rate))
        table = b.constant(np.arange(40, dtype=dtype).reshape(5, 8))
        total = b.emit("reduce_sum", y, axes=(0,))
    return b.build([total, new, table], {1: 1}, ["total", "w", "table"])


def arrays(batch: int, dtype: str = "float32") -> list[Array]:
    rng = np.random.default_rng(batch)
    return [rng.standard_normal(shape).astype(dtype) for shape in ((batch, 20), (20, 8))]


def run(executable: Any, batch: int, dtype: str = "float32") -> list[Array]:
    given = arrays(batch, dtype)
    return [*executable(given), given[1]]


def normalised() -> Graph:
    b = Builder("normalised")
    x, w = b.input(TensorType((N, 600)), "x"), b.input(TensorType((600, 640)), "w")
    s = b.input(TensorType((640,)), "s")
    attrs = {"lhs_batch": (), "rhs_batch": (), "lhs_contract": (1,), "rhs_contract": (0,)}
    wide = b.emit("broadcast", s, shape=(N, 640), dims=(1,))
    return b.build([b.emit("mul", b.emit("dot_general", x, w, **attrs), wide)])


def entries(home: Path) -> list[Path]:
    return sorted((home / "kernels").glob("*.program"))


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the graphs that were compiled, not loaded."""
    names: list[str] = []
    real = compiler.compile_graph

    def noted(graph: Graph, **options: Any) -> Any:
        names.append(graph.name)
        return real(graph, **options)

    monkeypatch.setattr(compiler, "compile_graph", noted)
    return names


def same_program(one: Program, two: Program) -> None:
    assert (one.arena, one.scratch_bytes, one.limits) == (
        two.arena,
        two.scratch_bytes,
        two.limits,
    )
    assert [(c.dtype, c.tobytes()) for c in one.constants] == [
        (c.dtype, c.tobytes()) for c in two.constants
    ]
    bare = [[replace(launch, footprint=None) for launch in p.launches] for p in (one, two)]
    assert bare[0] == bare[1]
    for sizes in ({"N": 1}, {"N": 7}, {"N": 640}):
        layout = one.arena.layout(sizes)
        for team in (1, 2, 3):
            found = [find_barriers(p.launches, sizes, layout, team) for p in (one, two)]
            assert found[0] == found[1]
            for a, b in zip(one.launches, two.launches, strict=True):
                if a.footprint is None or b.footprint is None:
                    assert a.footprint is b.footprint
                    continue
                spans = [f.intervals(team, sizes) for f in (a.footprint, b.footprint)]
                for (_, *ours), (_, *theirs) in zip(*spans, strict=True):
                    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("seed", range(8))
def test_a_stored_program_is_the_same_program(seed: int) -> None:
    graph = with_loss(random_graph(seed, 14)).graph
    made = compiler.compile_graph(graph).program
    same_program(made, load_program(dump_program(made), graph, tuple))


def test_a_stored_program_knows_the_sizes_that_it_is_not_for() -> None:
    b = Builder("cut")
    x = b.input(TensorType((N, 3)), "x")
    graph = b.build([b.emit("slice", x, start=(0, 1), stop=(5, 3), step=(1, 1))])
    made = compiler.compile_graph(graph).program
    assert len(made.limits) == 1
    same_program(made, load_program(dump_program(made), graph, tuple))


def test_a_second_process_gets_the_same_bits(home: Path, compiled: list[str]) -> None:
    first = [run(programs.load_or_compile(step()), batch) for batch in (1, 64, 300)]
    assert compiled == ["step"]
    assert len(entries(home)) == 1
    again = [run(programs.load_or_compile(step()), batch) for batch in (1, 64, 300)]
    assert compiled == ["step"]
    for one, two in zip(first, again, strict=True):
        assert [a.tobytes() for a in one] == [b.tobytes() for b in two]


def test_both_programs_of_a_graph_with_constants_are_kept(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = normalised()
    rng = np.random.default_rng(0)
    x, *rest = (rng.random(v.type.concrete({"N": 5}), np.float32) for v in graph.inputs)
    made = programs.load_or_compile_halves(graph, (1, 2))
    assert isinstance(made, PreparedExecutable)
    monkeypatch.delattr(compiler, "compile_halves")
    loaded = programs.load_or_compile_halves(graph, (1, 2))
    assert isinstance(loaded, PreparedExecutable)
    assert (loaded.constant, loaded.sources) == (made.constant, made.sources)
    same_program(made.main.program, loaded.main.program)
    same_program(made.prepare.program, loaded.prepare.program)
    assert loaded([x], rest)[0].tobytes() == made([x], rest)[0].tobytes()
    for one, two in ((made.main, loaded.main), (made.prepare, loaded.prepare)):
        assert two.program.signature.name == one.program.signature.name
        assert [r.spec for r in two.records] == [r.spec for r in one.records]
        assert print_graph(two.program.graph) == print_graph(one.program.graph)
    assert len(entries(home)) == 1


def test_a_graph_of_which_nothing_is_prepared_is_kept_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = run(programs.load_or_compile_halves(step(), ()), 5)
    monkeypatch.delattr(compiler, "compile_halves")
    again = programs.load_or_compile_halves(step(), ())
    assert isinstance(again, Executable)
    assert [a.tobytes() for a in run(again, 5)] == [a.tobytes() for a in first]


def test_a_damaged_pair_is_made_again() -> None:
    graph = normalised()
    programs.load_or_compile_halves(graph, (1, 2))
    disk_cache.write(f"{program_cache.pair_key(graph, (1, 2))}.program", b"no pair")
    assert isinstance(programs.load_or_compile_halves(graph, (1, 2)), PreparedExecutable)
    assert program_cache.pair_key(graph, (1, 2)) != program_cache.pair_key(graph, (1,))


def test_what_the_passes_did_is_found_out_when_asked(compiled: list[str]) -> None:
    made = programs.load_or_compile(step())
    loaded = programs.load_or_compile(step())
    assert compiled == ["step"]
    assert [r.spec for r in loaded.records] == [r.spec for r in made.records]
    assert print_graph(loaded.program.graph) == print_graph(made.program.graph)
    assert loaded.program.graph is loaded.program.graph
    profile = loaded.profile(arrays(16), repeats=1, roofline=False)
    assert {kernel.layer for kernel in profile.kernels} == {"dense"}


def test_another_graph_is_another_program(home: Path) -> None:
    graphs = [step(), step(scale=0.25), step(dtype="float64")]
    for graph in graphs:
        programs.load_or_compile(graph)
    assert len(entries(home)) == 3
    (total, table, w) = run(programs.load_or_compile(graphs[2]), 3, "float64")
    assert (total.dtype, table.dtype, w.dtype) == (np.float64,) * 3


def test_lines_of_the_users_file_do_not_count() -> None:
    assert program_cache.program_key(step(line=1)) == program_cache.program_key(step(line=99))


def test_another_instruction_set_is_another_program() -> None:
    with config.override(cpu="generic"):
        generic = program_cache.program_key(step())
    with config.override(cpu="avx2"):
        assert generic != program_cache.program_key(step())


def test_a_setting_that_changes_kernels_is_another_program() -> None:
    key = program_cache.program_key(step())
    with config.override(winograd="never"):
        assert program_cache.program_key(step()) != key


def test_another_version_is_another_program(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {program_cache.program_key(step())}
    for module, name in ((graphkeras, "__version__"), (np, "__version__")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, "0.0.0")
            disk_cache.sources_digest.cache_clear()
            keys.add(program_cache.program_key(step()))
    disk_cache.sources_digest.cache_clear()
    assert len(keys) == 3


def test_other_sources_of_the_compiler_are_another_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "passes").mkdir()
    (tmp_path / "__init__.py").touch()
    monkeypatch.setattr(graphkeras, "__file__", str(tmp_path / "__init__.py"))
    digests = set()
    for text in ("x = 1\n", "x = 2\n"):
        (tmp_path / "passes/fuse.py").write_text(text)
        disk_cache.sources_digest.cache_clear()
        digests.add(disk_cache.sources_digest("passes"))
    disk_cache.sources_digest.cache_clear()
    assert len(digests) == 2


def test_settings_that_look_at_passes_run_them(
    home: Path, tmp_path: Path, compiled: list[str]
) -> None:
    programs.load_or_compile(step())
    with config.override(dump=tmp_path / "dump"):
        programs.load_or_compile(step())
    assert list((tmp_path / "dump").iterdir())
    with config.override(check_numbers=True):
        programs.load_or_compile(step())
    assert compiled == ["step"] * 3
    assert len(entries(home)) == 1


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flip(data: bytes) -> bytes:
    return data[:-40] + bytes([data[-40] ^ 1]) + data[-39:]


@pytest.mark.parametrize("damage", [cut, flip, lambda data: b"", lambda data: b"junk" * 99])
def test_a_damaged_file_is_made_again(
    damage: Callable[[bytes], bytes],
    home: Path,
    compiled: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    programs.load_or_compile(step())
    (path,) = entries(home)
    intact = path.read_bytes()
    path.write_bytes(damage(intact))
    with caplog.at_level(logging.DEBUG, "graphkeras.cache"):
        programs.load_or_compile(step())
    assert f"cache entry {path} is damaged or foreign; it is made again" in caplog.text
    assert compiled == ["step"] * 2
    assert path.read_bytes() == intact


def packed(document: Any) -> bytes:
    return zlib.compress(json.dumps(document).encode())


class _Call:
    """Pickled, it makes a folder when it is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


WRONG = {
    "no JSON": zlib.compress(b"{"),
    "nothing compressed": b"x" * 40,
    "a class that is no record": packed({"objects": [["Popen", "true"]], "program": []}),
    "a module": packed({"objects": [["os.system", "true"]], "program": []}),
    "too many fields": packed({"objects": [["Buffer", "arena", 1, 2]], "program": []}),
    "a place that is none": packed({"objects": [["Buffer", "heap", 1]], "program": []}),
    "a dtype that is none": packed({"objects": [["TensorType", [1], "f3"]], "program": []}),
    "a record before it is made": packed({"objects": [], "program": [{"r": 3}]}),
    "too short": packed({"objects": [], "program": [[], []]}),
    "a list": packed([1, 2]),
    "a constant that is an expression": packed(
        {"objects": [], "program": [[], ["f(1)"], 0, 0, []]}
    ),
}


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG)
def test_a_file_of_another_form_is_refused_and_made_again(
    content: bytes, compiled: list[str]
) -> None:
    with pytest.raises(StoredProgramError, match="no stored program: "):
        load_program(content, step(), tuple)
    disk_cache.write(f"{program_cache.program_key(step())}.program", content)
    run(programs.load_or_compile(step()), 4)
    run(programs.load_or_compile(step()), 4)
    assert compiled == ["step"]


def test_nothing_in_a_file_runs(tmp_path: Path) -> None:
    made = tmp_path / "made"
    for content in (pickle.dumps(_Call(made)), zlib.compress(pickle.dumps(_Call(made)))):
        with pytest.raises(StoredProgramError):
            load_program(content, step(), tuple)
    assert not made.exists()


def test_a_filled_cache_that_is_read_only_serves(
    home: Path, compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    programs.load_or_compile(step())
    files = sorted(home.rglob("*"))

    def refuse() -> Path:
        raise AssertionError("nothing is to be written")

    monkeypatch.setattr(disk_cache, "folder", refuse)
    run(programs.load_or_compile(step()), 4)
    assert compiled == ["step"]
    assert sorted(home.rglob("*")) == files


def test_a_home_that_cannot_be_written_keeps_programs_for_the_process(
    tmp_path: Path, compiled: list[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    with config.override(home=tmp_path / "file"):
        with pytest.warns(RuntimeWarning, match="cannot be written"):
            programs.load_or_compile(step())
        run(programs.load_or_compile(step()), 4)
    assert compiled == ["step"]


SCRIPT = """
    import sys
    import numpy as np
    import graphkeras as keras
    keras.utils.set_random_seed(1)
    dense = keras.layers.Dense
    model = keras.Sequential([keras.Input((6,)), dense(5, "relu"), dense(3)])
    model.compile("adam", "mse")
    x = np.arange(120, dtype=np.float32).reshape(20, 6) / 100
    model.fit(x, x[:, :3], batch_size=8, epochs=2, shuffle=False, verbose=0)
    print(b"".join(w.tobytes() for w in model.get_weights()).hex())
    print("graphkeras.compiler" in sys.modules)
"""


def test_processes_that_fill_an_empty_cache_at_once_agree(home: Path, run_script: Script) -> None:
    running = [start_script(SCRIPT, home) for _ in range(2)]
    results = [process.communicate(timeout=240) for process in running]
    assert [process.returncode for process in running] == [0, 0], results
    third = run_script(SCRIPT, home=home)
    assert {out.splitlines()[0] for out, _ in results} == {third.splitlines()[0]}
    assert third.splitlines()[1] == "False"
    assert len(entries(home)) == 1
    assert [p for p in (home / "kernels").iterdir() if p.name.startswith(".")] == []


def test_a_node_is_found_by_its_launch() -> None:
    executable = programs.load_or_compile(step())
    nodes = [executable.program.graph.nodes[launch.node] for launch in executable.program.launches]
    assert all(isinstance(node, Node) and node.body is not None for node in nodes)
