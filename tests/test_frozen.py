"""Immutable records: the same as standard frozen dataclasses, over what the package uses."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from functools import cached_property
from itertools import count
from typing import Any, ClassVar

import pytest

from graphkeras.frozen import frozen

_numbers = count()


def _members(decorate: Any) -> dict[str, Any]:
    @decorate
    class Point:
        """A place."""

        kind: ClassVar[str] = "point"
        x: int
        y: float = 2.0
        notes: dict[str, int] = field(default_factory=dict)
        hidden: Any = field(default=None, compare=False, repr=False)

        @cached_property
        def sum(self) -> float:
            """Both."""
            return self.x + self.y

    @decorate
    class Labelled(Point):
        """With a name."""

        label: str = "?"

        def __post_init__(self) -> None:
            object.__setattr__(self, "length", len(self.label))

    @decorate
    class Empty:
        """Nothing."""

    return {"Point": Point, "Labelled": Labelled, "Empty": Empty}


OURS, STANDARD = _members(frozen), _members(dataclass(frozen=True))


@pytest.mark.parametrize("kind", OURS)
def test_records_are_made_and_shown_as_the_standard_ones(kind: str) -> None:
    arguments: dict[str, list[tuple[Any, ...]]] = {
        "Point": [(1,), (1, 3.0), (1, 3.0, {"a": 1}, "h")],
        "Labelled": [(1,), (1, 3.0, {}, None, "long")],
        "Empty": [()],
    }
    for given in arguments[kind]:
        ours, standard = OURS[kind](*given), STANDARD[kind](*given)
        assert repr(ours) == repr(standard)
        assert vars(ours) == vars(standard)
        assert [f.name for f in fields(ours)] == [f.name for f in fields(standard)]
    assert OURS[kind].__match_args__ == STANDARD[kind].__match_args__


def test_records_are_equal_by_their_compared_fields() -> None:
    point = OURS["Point"]
    assert point(1, 2.0, (), "a") == point(1, 2.0, (), "b")
    assert hash(point(1, 2.0, (), "a")) == hash(point(1, 2.0, (), "b"))
    assert point(1, 2.0) != point(1, 3.0)
    assert point(1) != OURS["Labelled"](1)
    assert point(1) != (1, 2.0, {})
    nan = float("nan")
    assert point(1, nan) == point(1, nan)


def test_without_eq_records_are_equal_by_identity() -> None:
    @frozen(eq=False)
    class Thing:
        """A thing."""

        size: list[int]

    one, other = Thing([1]), Thing([1])
    assert one != other
    assert {one: 1}[one] == 1


def test_a_class_keeps_the_methods_that_it_has() -> None:
    @frozen
    class Own:
        """Own methods."""

        x: int

        def __repr__(self) -> str:
            return "mine"

        def __eq__(self, other: object) -> bool:
            return True

    assert repr(Own(1)) == "mine"
    assert Own(1) == Own(2)
    assert hash(Own(1)) == hash(Own(1))


def test_a_field_outside_of_init_is_made_for_each_record() -> None:
    @frozen
    class Numbered:
        """Has a number."""

        number: int = field(init=False, default_factory=lambda: next(_numbers))

    assert Numbered().number < Numbered().number


def test_default_factories_give_each_record_its_own() -> None:
    first, second = OURS["Point"](1), OURS["Point"](1)
    assert first.notes == {}
    assert first.notes is not second.notes


def test_records_refuse_changes() -> None:
    point = OURS["Point"](1)
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'x'"):
        point.x = 2
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'new'"):
        point.new = 2
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'x'"):
        del point.x
    assert point.x == 1


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        OURS["Point"]()
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        OURS["Point"](1, z=2)


def test_a_field_without_a_default_behind_one_that_has_one() -> None:
    with pytest.raises(SyntaxError, match="default"):

        @frozen
        class Wrong:
            """No order."""

            x: int = 1
            y: int


def test_records_can_be_copied_and_replaced() -> None:
    labelled = OURS["Labelled"](1, 3.0, {"a": 1}, None, "name")
    assert labelled.sum == 4.0
    assert copy.deepcopy(labelled) == labelled
    changed = replace(labelled, label="longer")
    assert (changed.label, changed.length, changed.x) == ("longer", 6, 1)
    assert copy.copy(labelled).length == 4


@frozen
class Sent:
    """To another process."""

    x: int


def test_records_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(Sent(3))) == Sent(3)
