"""The pass manager: records, checks, dumps, reproducers, and passes as text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from graphkeras import config
from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import Size
from graphkeras.ir.graph import Graph, Loc
from graphkeras.ir.text import parse_graph, print_graph
from graphkeras.ir.types import TensorType
from graphkeras.ir.verify import VerifyError
from graphkeras.passes import (
    PASSES,
    Autodiff,
    DeadCodeElimination,
    FoldConstants,
    PassError,
    PassManager,
    PassNumericsError,
    Simplify,
    parse_pass,
    pass_text,
)
from graphkeras.passes.manager import reproduce
from graphkeras.passes.numerics import first_wrong, random_inputs, relative_error
from graphkeras.passes.rewriter import Rewriter

N = Size.symbol("N")


def graph() -> Graph:
    b = Builder("train step")
    x, w = b.input(TensorType((N, 3)), "x"), b.input(TensorType((N, 3)), "w")
    with b.at(Loc("model.py", 4, "dense")):
        y = b.emit("neg", b.emit("neg", x))
        z = b.emit("sub", b.emit("exp", y), w)
    return b.build([z], {0: 1}, ["next"])


@dataclass(frozen=True)
class Crash:
    """Raises."""

    name: ClassVar[str] = "crash"

    def __call__(self, graph: Graph) -> Graph:
        raise RuntimeError("no luck")


@dataclass(frozen=True)
class Break:
    """Forgets the first node."""

    name: ClassVar[str] = "break"

    def __call__(self, graph: Graph) -> Graph:
        return replace(graph, nodes=graph.nodes[1:])


@dataclass(frozen=True)
class Swap:
    """Replaces every op of one name by another."""

    name: ClassVar[str] = "swap"

    old: str
    new: str

    def __call__(self, graph: Graph) -> Graph:
        rewriter = Rewriter(graph, self.name)
        for node in graph.nodes:
            if node.op == self.old:
                with rewriter.standing_for(node):
                    new = rewriter.emit(self.new, *rewriter.operands(node))
                rewriter.replace(node.result, new)
            else:
                rewriter.take(node)
        return rewriter.finish()


@pytest.fixture(autouse=True)
def _temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_records_tell_what_each_pass_did() -> None:
    manager = PassManager([Simplify(), DeadCodeElimination(), FoldConstants(9)])
    start = graph()
    after = manager.run(start)
    simplify, dce, fold = manager.records
    assert [r.name for r in manager.records] == ["simplify", "dce", "fold_constants"]
    assert fold.spec == "fold_constants{max_elements=9}"
    assert simplify.before is start
    assert (simplify.nodes_before, simplify.nodes_after) == (4, 3)
    assert (dce.nodes_after, dce.changed) == (2, True)
    assert not fold.changed
    assert fold.after is after
    assert all(r.seconds >= 0 for r in manager.records)


def test_passes_have_a_text_form() -> None:
    for which in (Simplify(), FoldConstants(7), Autodiff((0, 2))):
        assert parse_pass(pass_text(which)) == which
    assert pass_text(Autodiff((0, 2))) == "autodiff{wrt=(0, 2)}"
    assert parse_pass("fold_constants") == FoldConstants()
    assert all(name == which.name for name, which in PASSES.items())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("simplfy", "Unknown pass 'simplfy'. Did you mean 'simplify'?"),
        ("dce{size=1}", "pass 'dce' has no option 'size'; it has none."),
        ("fold_constants{max_element=1}", "Did you mean 'max_elements'?"),
        ("autodiff", "pass 'autodiff': .* missing 1 required positional argument: 'wrt'"),
        ("dce{", "expected the name of an attribute"),
        ("dce dce", "expected the end of the text"),
    ],
)
def test_wrong_pass_texts(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        parse_pass(text)


def test_wrong_graph_is_refused_before_the_first_pass() -> None:
    with pytest.raises(VerifyError, match="graph 'train step' is wrong: operand 0"):
        PassManager([Simplify()], verify=True).run(Break()(graph()))


def test_pass_that_breaks_the_graph_is_named() -> None:
    with pytest.raises(PassError) as caught:
        PassManager([Break()], verify=True).run(graph())
    text = str(caught.value)
    assert "pass break failed on graph 'train step': VerifyError: " in text
    assert "is wrong after 'break': operand 0 of 'neg' is used before it is defined" in text
    assert ">    4 |   %2:f32[N,3] = neg(%?)" in text


def test_pass_that_changes_the_signature_is_named() -> None:
    @dataclass(frozen=True)
    class Forget:
        name: ClassVar[str] = "forget"

        def __call__(self, graph: Graph) -> Graph:
            return replace(graph, aliases={})

    with pytest.raises(PassError, match="'forget' changed the aliases of graph 'train step'"):
        PassManager([Forget()], verify=True).run(graph())


def test_crash_leaves_a_reproducer(tmp_path: Path) -> None:
    with pytest.raises(PassError) as caught:
        PassManager([Crash()]).run(graph())
    text = str(caught.value)
    assert "pass crash failed on graph 'train step': RuntimeError: no luck" in text
    path = Path(text.rpartition("graphkeras reproduce ")[2])
    assert path.is_relative_to(tmp_path)
    lines = path.read_text().splitlines()
    assert lines[:4] == [
        f"# run: graphkeras reproduce {path}",
        "# pass: crash",
        "# error:",
        "#   RuntimeError: no luck",
    ]
    assert print_graph(parse_graph(path.read_text())) == print_graph(graph())


def test_reproducer_runs_its_pass_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PASSES, "swap", Swap)
    manager = PassManager([Swap("exp", "neg")], check_numbers=True)
    with pytest.raises(PassNumericsError) as caught:
        manager.run(graph())
    path = str(caught.value).rpartition("graphkeras reproduce ")[2]
    with pytest.raises(PassNumericsError):
        reproduce(path)


def test_reproducer_of_a_pass_that_works_gives_its_record(tmp_path: Path) -> None:
    path = tmp_path / "good.ir"
    path.write_text(f"# pass: simplify\n{print_graph(graph())}\n")
    assert reproduce(path).nodes_after == 3
    path.write_text(print_graph(graph()))
    with pytest.raises(ValueError, match="is no reproducer: it has no line '# pass: '"):
        reproduce(path)


def test_wrong_numbers_are_traced_to_the_pass_and_the_node() -> None:
    manager = PassManager([Simplify(), Swap("exp", "tanh")], check_numbers=True)
    with pytest.raises(PassNumericsError) as caught:
        manager.run(graph())
    text = str(caught.value)
    assert 'pass swap{old="exp", new="tanh"} changed output 0 (next) by' in text
    assert "first node that differs: tanh -> f32[N,3]" in text
    assert "at: dense model.py:4" in text


def test_first_wrong_pass_is_found_afterwards() -> None:
    start = graph()
    passes = [Simplify(), DeadCodeElimination(), Swap("exp", "cos"), FoldConstants(), Simplify()]
    manager = PassManager(passes)
    manager.run(start)
    found = first_wrong(manager.records, random_inputs(start))
    assert found is not None
    assert found.record is manager.records[2]
    assert found.node is not None
    assert found.node.op == "cos"
    good = PassManager([Simplify(), DeadCodeElimination()])
    good.run(start)
    assert first_wrong(good.records, random_inputs(start)) is None
    assert first_wrong([], []) is None


def test_given_inputs_are_used_for_the_number_check() -> None:
    zeros = [np.zeros((2, 3), "float32")] * 2
    PassManager([Swap("sub", "add")], check_numbers=True, inputs=zeros).run(graph())
    with pytest.raises(PassNumericsError):
        PassManager([Swap("sub", "add")], check_numbers=True).run(graph())


@pytest.mark.parametrize(
    ("expected", "received", "error"),
    [
        ([1.0, 100.0], [1.0, 101.0], 0.01),
        ([np.nan, 1.0], [np.nan, 1.0], 0.0),
        ([np.nan, 1.0], [0.0, 1.0], np.inf),
        ([np.inf], [-np.inf], np.inf),
        ([1.0], [np.inf], np.inf),
        ([1.0], [1.0, 2.0], np.inf),
        ([], [], 0.0),
    ],
)
def test_relative_error(expected: list[float], received: list[float], error: float) -> None:
    assert relative_error(np.array(expected), np.array(received)) == pytest.approx(error)


def test_dump_has_a_file_for_every_pass_that_changed_the_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHKERAS_DUMP", str(tmp_path / "dump"))
    passes = [FoldConstants(), Simplify(), DeadCodeElimination()]
    after = PassManager(passes).run(graph())
    PassManager(passes).run(graph())
    folder = tmp_path / "dump" / "train_step"
    assert sorted(p.name for p in folder.iterdir()) == [
        "00_start.ir",
        "02_simplify.ir",
        "03_dce.ir",
    ]
    assert (folder / "03_dce.ir").read_text() == print_graph(after) + "\n"
    assert sorted(p.name for p in folder.parent.iterdir()) == ["train_step", "train_step.2"]


def test_reproducers_go_to_the_dump(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(PassError, match="reproduce_crash"):
            PassManager([Crash()], dump=tmp_path / "d").run(graph())
    manager = PassManager([Crash()], dump=tmp_path / "d")
    with pytest.raises(PassError):
        manager.run(graph())
    assert (tmp_path / "d" / "train_step.3" / "reproduce_crash.ir").exists()


def test_settings_stand_in_for_arguments() -> None:
    with config.override(check_numbers=True), pytest.raises(PassNumericsError):
        PassManager([Swap("exp", "neg")]).run(graph())
    with config.override(verify=False):
        PassManager([]).run(Break()(graph()))
