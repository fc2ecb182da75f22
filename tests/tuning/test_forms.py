"""Algorithms chosen by timing: plain or Winograd convolutions, winners or products."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphkeras as keras
from graphkeras import config
from graphkeras.codegen.cpu.contract import BY_MODEL, Choices
from graphkeras.compiler import compile_graph, compile_halves, optimize
from graphkeras.ir import Builder, Graph, Node, Size, TensorType
from graphkeras.ir.evaluate import evaluate
from graphkeras.passes import Winograd
from graphkeras.passes.winograd import form
from graphkeras.runtime.executable import Executable
from graphkeras.runtime.prepared import PreparedExecutable
from graphkeras.tuning import contest, forms, tuner, whole
from graphkeras.tuning.contest import Contest
from graphkeras.tuning.forms import FormContest
from graphkeras.tuning.winners import Winner

N = Size.symbol("N")
SIZES = {"N": 3}
Times = dict[bool, float]


@pytest.fixture(autouse=True)
def _quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cache of its own; kernels keep to the cost model, so that forms alone are chosen."""
    monkeypatch.setattr(tuner, "variants", lambda node: [])
    monkeypatch.setattr(forms, "LEAST_ROUNDS", 1)
    monkeypatch.setattr(forms, "SECONDS", 0.0)
    monkeypatch.setattr(whole, "call_seconds", lambda *_: [2.0, 1.0])
    with config.override(home=tmp_path, interactive_logging=False):
        yield


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Times:
    """Seconds that Winograd's form takes, and the plain one: a clock to be set."""
    seconds: Times = {}

    def by_the_clock(self: FormContest, turns: Sequence[Any]) -> list[float]:
        return [seconds[self._by_model], seconds[not self._by_model]]

    monkeypatch.setattr(FormContest, "_times", by_the_clock)
    return seconds


def conv(channels: int, filters: int, size: int = 8) -> Graph:
    """A 3x3 convolution that keeps the image's size, and a rectifier."""
    b = Builder("conv")
    x = b.input(TensorType((N, size, size, channels)), "x")
    w = b.input(TensorType((3, 3, channels, filters)), "w")
    ones = {"strides": (1, 1), "lhs_dilation": (1, 1), "rhs_dilation": (1, 1), "groups": 1}
    y = b.emit("conv", x, w, padding=((1, 1), (1, 1)), **ones)
    return b.build([b.emit("relu", y)])


def ops(executable: Executable) -> set[str]:
    bodies = [node.body for node in executable.program.graph.nodes]
    return {node.op for body in bodies if body is not None for node in body.nodes}


def check(run: Any, graph: Graph) -> None:
    rng = np.random.default_rng(0)
    for size in (1, 3, 5):
        arrays = [rng.random(v.type.concrete({"N": size}), np.float32) for v in graph.inputs]
        (expected,), (received,) = evaluate(graph, arrays), run(arrays)
        np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-4)


MODEL = [(64, 64, True), (2, 4, False)]
"""Channels, filters, and whether the cost model takes Winograd's form."""


@pytest.mark.parametrize(("channels", "filters", "is_winograd"), MODEL)
@pytest.mark.parametrize("faster", [True, False])
def test_the_faster_form_is_taken(
    channels: int, filters: int, is_winograd: bool, faster: bool, times: Times
) -> None:
    graph = conv(channels, filters)
    times.update({faster: 1.0, not faster: 2.0})
    tuned = compile_graph(graph, autotune=True, sizes=SIZES)
    assert ("winograd_conv" in ops(tuned)) is faster
    assert ("winograd_conv" in ops(compile_graph(graph))) is is_winograd
    (found,) = tuned.tuning.contractions
    expected = BY_MODEL if faster is is_winograd else Choices(winograd=faster)
    assert found.winner.choices == expected
    assert found.sizes == SIZES
    assert found.gain == (1.0 if faster is is_winograd else 2.0)
    check(tuned, graph)


@pytest.mark.parametrize(("channels", "filters", "is_winograd"), MODEL)
def test_noise_leaves_the_model_its_form(
    channels: int, filters: int, is_winograd: bool, times: Times
) -> None:
    times.update({is_winograd: 1.0, not is_winograd: 0.98})
    tuned = compile_graph(conv(channels, filters), autotune=True, sizes=SIZES)
    assert ("winograd_conv" in ops(tuned)) is is_winograd


@pytest.mark.parametrize("faster", [True, False])
def test_forms_of_prepared_kernels(faster: bool, times: Times) -> None:
    graph = conv(32, 32)
    times.update({faster: 1.0, not faster: 2.0})
    tuned = compile_halves(graph, (1,), autotune=True, sizes=SIZES)
    main = tuned.main if isinstance(tuned, PreparedExecutable) else tuned
    assert ("winograd_conv" in ops(main)) is faster
    assert "winograd_kernel" not in ops(main)
    assert len(main.tuning.contractions) == 1
    state: list[Any] = []

    def run(arrays: Sequence[Any]) -> Any:
        if not isinstance(tuned, PreparedExecutable):
            return tuned(arrays)
        state[:] = arrays[1:]
        return tuned(arrays[:1], list(state))

    check(run, graph)


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("lies", [False, True])
def test_a_form_that_gives_other_numbers_is_refused(
    prepared: bool,
    lies: bool,
    times: Times,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    times.update({True: 1.0, False: 2.0})
    run = forms._Turn.results

    def run_or_lie(self: Any) -> Sequence[Any]:
        main = self.run.main if isinstance(self.run, PreparedExecutable) else self.run
        honest = not lies or "winograd" not in main.program.launches[-1].kernel.name
        return run(self) if honest else [array * np.float32(1.1) for array in run(self)]

    monkeypatch.setattr(forms._Turn, "results", run_or_lie)
    graph = conv(2, 4)
    if prepared:
        tuned = compile_halves(graph, (1,), autotune=True, sizes=SIZES)
    else:
        tuned = compile_graph(graph, autotune=True, sizes=SIZES)
    main = tuned.main if isinstance(tuned, PreparedExecutable) else tuned
    assert ("winograd_conv" in ops(main)) is not lies
    (found,) = main.tuning.contractions
    assert found.gain == (1.0 if lies else 2.0)
    assert ("gives other numbers than the default one" in caplog.text) is lies


def test_a_gradient_for_the_input_has_forms_of_its_own(times: Times) -> None:
    graph = conv(64, 64)
    b = Builder("both")
    image, taps = (value.type for value in graph.inputs)
    x, dy, kernel = b.input(image, "x"), b.input(image, "dy"), b.input(taps, "w")
    turned = b.emit("transpose", b.emit("reverse", kernel, axes=(0, 1)), perm=(0, 1, 3, 2))
    attrs = graph.nodes[0].attrs
    results = [b.emit("conv", x, kernel, **attrs), b.emit("conv", dy, turned, **attrs)]
    times.update({False: 1.0, True: 2.0})
    tuned = compile_graph(b.build(results), autotune=True, sizes=SIZES)
    assert len(tuned.tuning.contractions) == 2
    assert "winograd_conv" not in ops(tuned)


@pytest.mark.parametrize("faster", [True, False])
def test_forms_of_a_gradient_for_the_kernel(faster: bool, times: Times) -> None:
    graph = conv(64, 64)
    b, attrs = Builder("gradient"), graph.nodes[0].attrs
    x, dy = (b.input(graph.inputs[0].type, name) for name in ("x", "dy"))
    tuned_graph = b.build([b.emit("conv_kernel_grad", x, dy, kernel_size=(3, 3), **attrs)])
    times.update({faster: 1.0, not faster: 2.0})
    tuned = compile_graph(tuned_graph, autotune=True, sizes=SIZES)
    assert ("winograd_kernel_grad" in ops(tuned)) is faster
    assert len(tuned.tuning.contractions) == 1


def test_a_winner_is_kept(monkeypatch: pytest.MonkeyPatch, times: Times) -> None:
    times.update({False: 1.0, True: 2.0})
    first = compile_graph(conv(64, 64), autotune=True, sizes=SIZES)
    monkeypatch.setattr(FormContest, "hold", lambda self: pytest.fail("timed again"))
    second = compile_graph(conv(64, 64), autotune=True, sizes=SIZES)
    timed = [t.timed for e in (first, second) for t in e.tuning.contractions]
    assert timed == [True, False]
    assert "winograd_conv" not in ops(second)
    assert "conv" in str(second.tuning).splitlines()[1]
    assert str(second.tuning).endswith("winograd False")
    # Neither a setting of its own nor a compile without autotune looks at it.
    for choice, expected in (("always", True), ("never", False)):
        with config.override(winograd=choice):
            fixed = compile_graph(conv(64, 64), autotune=True, sizes=SIZES)
        assert ("winograd_conv" in ops(fixed)) is expected
        assert fixed.tuning.contractions == ()
    assert "winograd_conv" in ops(compile_graph(conv(64, 64)))


def test_a_real_contest() -> None:
    graph = conv(8, 8)
    for tuned in (
        compile_graph(graph, autotune=True, sizes=SIZES),
        compile_halves(graph, (1,), autotune=True, sizes=SIZES),
    ):
        main = tuned.main if isinstance(tuned, PreparedExecutable) else tuned
        (found,) = main.tuning.contractions
        assert found.timed
        assert 0 < found.winner.seconds <= found.winner.default


def test_the_pass_says_what_was_found() -> None:
    node = conv(64, 64).nodes[0]
    text = form(node)
    assert text == "conv: f32[N,8,8,64] * f32[3,3,64,64] -> f32[N,8,8,64]"
    assert not Winograd(slower=(text,)).is_wanted(node)
    assert Winograd(slower=("conv: f32[N,9,9,64] * f32[3,3,64,64] -> f32[N,9,9,64]",)).is_wanted(
        node
    )
    graph = optimize(conv(64, 64), (Winograd(slower=(text,)),)).records[-1]
    assert graph.spec == f'winograd{{prepared=False, faster=(), slower=("{text}",)}}'


# ---- winners of windows against products


def step(filters: int) -> Any:
    layers = keras.layers
    keras.utils.set_random_seed(4)
    model = keras.Sequential(
        [
            layers.Input((12, 12, 2)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.Conv2D(filters, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy", autotune=True)
    return model


def forced(winners: bool, monkeypatch: pytest.MonkeyPatch) -> list[Node]:
    """Contests that are about winners end with this choice; the nodes they were held for."""
    held: list[Node] = []
    real = forms_variants = contest.variants

    def some(node: Node) -> Mapping[Any, Any]:
        return [c for c in forms_variants(node) if c.winners is not None]

    def hold(self: Contest) -> Winner:
        held.append(self.node)
        choices = next((c for c in real(self.node) if c.winners is winners), BY_MODEL)
        return Winner(choices, 2e-6, 1e-6)

    monkeypatch.setattr(tuner, "variants", some)
    monkeypatch.setattr(Contest, "hold", hold)
    monkeypatch.setattr(FormContest, "hold", lambda self: Winner(BY_MODEL, 1e-6, 1e-6))
    return held


@pytest.mark.parametrize("threads", [1, 3])
def test_winners_and_products_train_alike(
    threads: int, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((20, 12, 12, 2), np.float32), rng.integers(0, 3, 20)
    before = keras.get_num_threads()
    request.addfinalizer(lambda: keras.set_num_threads(before))
    found = {}
    for winners in (True, False):
        with config.override(home=Path(config.setting("home")) / str(winners)):
            held = forced(winners, monkeypatch)
            for team in (1, threads):
                keras.set_num_threads(team)
                model = step(16)
                model.fit(x, y, batch_size=8, epochs=2, verbose=0)
                found[winners, team] = model.get_weights()
            (made,) = model.training_state.steps.made()
            texts = [launch.kernel.text for launch in made.executable.program.launches]
            assert len(held) >= 2
            assert any("winner_" in text for text in texts) is winners
        for a, b in zip(found[winners, 1], found[winners, threads], strict=True):
            np.testing.assert_array_equal(a, b)
    for a, b in zip(found[True, 1], found[False, 1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
