"""Graphs before and after each pass, as text: `golden/*.ir`.

A golden file has cases of the form

    # case: <name>
    # pass: <pass as text>
    graph "..." { ... }          before
    # after
    graph "..." { ... }          after

With `GRAPHKERAS_UPDATE_GOLDEN=1` in the environment the parts after are written anew; read the
difference before you keep it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from graphkeras.ir.text import parse_graph, print_graph
from graphkeras.ir.verify import verify
from graphkeras.passes import PassManager, parse_pass
from graphkeras.passes.rules import RULES
from graphkeras.passes.simplify import TABLE, Rule

GOLDEN = Path(__file__).parent / "golden"


class Golden(NamedTuple):
    name: str
    spec: str
    before: str
    after: str


def read(path: Path) -> list[Golden]:
    cases = re.split(r"^# case: ", path.read_text(), flags=re.MULTILINE)[1:]
    found = []
    for case in cases:
        name, spec, rest = case.split("\n", 2)
        before, _, after = rest.partition("\n# after\n")
        found.append(Golden(name, spec.removeprefix("# pass: "), before.strip(), after.strip()))
    return found


def run(golden: Golden) -> str:
    manager = PassManager([parse_pass(golden.spec)], verify=True, check_numbers=True)
    return print_graph(manager.run(parse_graph(golden.before)))


FILES = sorted(GOLDEN.glob("*.ir"))
if os.environ.get("GRAPHKERAS_UPDATE_GOLDEN") == "1":
    for path in FILES:
        path.write_text(
            "\n".join(
                f"# case: {c.name}\n# pass: {c.spec}\n{c.before}\n# after\n{run(c)}\n"
                for c in read(path)
            )
        )


CASES = [pytest.param(c, id=f"{path.stem}: {c.name}") for path in FILES for c in read(path)]


def test_there_are_golden_cases_for_every_pass() -> None:
    tested = {c.spec.partition("{")[0] for path in FILES for c in read(path)}
    assert {"simplify", "fold_constants", "cse", "dce", "autodiff"} <= tested


@pytest.mark.parametrize("golden", CASES)
def test_pass_gives_the_golden_graph(golden: Golden) -> None:
    assert run(golden) == golden.after


@pytest.mark.parametrize("golden", CASES)
def test_golden_graphs_are_valid_and_in_printed_form(golden: Golden) -> None:
    for text in (golden.before, golden.after):
        graph = parse_graph(text)
        verify(graph)
        assert print_graph(graph) == text


def test_every_rule_is_covered_by_a_golden_case(monkeypatch: pytest.MonkeyPatch) -> None:
    fired: set[str] = set()

    def watched(rule: Rule) -> Rule:
        def rewrite(match):  # type: ignore[no-untyped-def]
            value = rule.rewrite(match)
            if value is not None:
                fired.add(rule.name)
            return value

        return Rule(rule.ops, rewrite)

    for op, rules in list(TABLE.items()):
        monkeypatch.setitem(TABLE, op, tuple(watched(rule) for rule in rules))
    for path in FILES:
        for golden in read(path):
            if golden.spec == "simplify":
                run(golden)
    assert {rule.name for rule in RULES} - fired == set()


def test_rules_know_their_name_and_place() -> None:
    rule = next(rule for rule in RULES if rule.name == "double transpose")
    assert re.search(r"rules/shapes\.py:\d+$", rule.place)
    assert len({rule.name for rule in RULES}) == len(RULES)
