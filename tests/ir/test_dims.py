"""Arithmetic of symbolic sizes: it agrees with numbers, and its text parses back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphkeras.ir.dims import Dim, Size, divide, evaluate, is_static, parse_dim, product

N, M = Size.symbol("N"), Size.symbol("M")


def dims() -> st.SearchStrategy[Dim]:
    """Polynomials in N and M of a few terms."""
    leaves: st.SearchStrategy[Dim] = st.one_of(st.integers(-9, 9), st.sampled_from([N, M]))
    return st.recursive(
        leaves,
        lambda inner: st.builds(
            lambda a, b, op: a + b if op == "+" else a - b if op == "-" else a * b,
            inner,
            inner,
            st.sampled_from("+-*"),
        ),
        max_leaves=5,
    )


sizes = st.fixed_dictionaries({"N": st.integers(0, 7), "M": st.integers(0, 7)})


@given(dims(), dims(), sizes)
def test_arithmetic_commutes_with_evaluation(a: Dim, b: Dim, at: dict[str, int]) -> None:
    x, y = evaluate(a, at), evaluate(b, at)
    assert evaluate(a + b, at) == x + y
    assert evaluate(a - b, at) == x - y
    assert evaluate(a * b, at) == x * y


@given(dims(), dims(), dims())
def test_equal_polynomials_are_equal_objects(a: Dim, b: Dim, c: Dim) -> None:
    assert a + b == b + a
    assert a * b == b * a
    assert (a + b) * c == a * c + b * c
    assert a - a == 0
    assert hash(a * b) == hash(b * a)


@given(dims())
def test_text_parses_back(a: Dim) -> None:
    assert parse_dim(str(a)) == a


@given(dims(), st.sampled_from([1, 2, -3, N, N * M, N * 4, N * N]))
def test_division_undoes_multiplication(a: Dim, b: Dim) -> None:
    assert divide(a * b, b) == a


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (7, 2, "7 is not divisible by 2"),
        (7, 0, "7 is not divisible by 0"),
        (N, 2, "N is not divisible by 2"),
        (N * 3 + 1, 3, "3*N + 1 is not divisible by 3"),
        (N, M, "N is not divisible by M"),
        (N, N + 1, "cannot divide N by N + 1"),
    ],
)
def test_inexact_division_is_an_error(a: Dim, b: Dim, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the exact message follows
        divide(a, b)
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["", "N+", "2*", "N/2", "2.5", "N^"])
def test_bad_text_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="not a dimension"):
        parse_dim(text)


def test_text_is_readable() -> None:
    assert str(N * 49) == "49*N"
    assert str(N * N - 1) == "N^2 + -1"


def test_product_and_static() -> None:
    assert product([]) == 1
    assert product([2, N, 3]) == N * 6
    assert is_static((1, 2))
    assert not is_static((1, N))


def test_missing_size_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        evaluate(N, {"M": 1})
