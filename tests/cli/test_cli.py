from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import graphkeras
from graphkeras.cli import main
from graphkeras.ir.text import parse_graph
from graphkeras.runtime import pool

MODEL = """
import graphkeras as keras

model = keras.Sequential([
    keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3, "softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
print("made")
if __name__ == "__main__":
    raise RuntimeError("the main part ran")
"""

SUBCLASS = """
import graphkeras as keras

class Net(keras.Model):
    def __init__(self):
        super().__init__(name="net")
        self.table = keras.layers.Embedding(10, 4)
        self.top = keras.layers.Dense(2)

    def call(self, x):
        return self.top(self.table(x))

def build_model():
    return Net()
"""

WIDE = """
import graphkeras as keras

layers = [keras.Input((600,)), keras.layers.Dense(600, name="dense")]
model = keras.Sequential(layers, name="sequential")
"""
TWO = """
import graphkeras as keras

def make(units):
    x = keras.Input((4,))
    return keras.Model(x, [keras.layers.Dense(units)(x), keras.layers.Dense(1)(x)])

first, second = make(3), make(4)
second.compile("sgd", ["mse", "mae"])
number = 5
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "net.py"
    path.write_text(MODEL)
    (tmp_path / "sub.py").write_text(SUBCLASS)
    (tmp_path / "two.py").write_text(TWO)
    return path


def failing(capsys: pytest.CaptureFixture[str], *words: str, code: int = 2) -> str:
    """The message on standard error of a command that fails."""
    assert main(words) == code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.err


# show


def test_show_draws_the_training_step(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(script), "-o", "step.html"]) == 0
    out = capsys.readouterr().out
    assert "train_step: " in out
    assert "kernels" in out
    assert "wrote step.html" in out
    assert "train_step" in Path("step.html").read_text()


def test_show_has_a_default_file(
    script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert main(["show", "net.py", "--step", "predict"]) == 0
    assert Path("net_predict_step.dot").exists()
    assert Path("net_predict_step.html").exists()
    assert "'dot' of Graphviz is missing" in capsys.readouterr().out


def test_show_draws_the_program_that_prepares_variables(
    script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("wide.py").write_text(WIDE)
    words = ["show", "wide.py", "--step", "predict", "--prepare", "-o", "-"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert out.startswith('graph "prepare_predict_step"')
    assert 'input f32[600,600] "sequential/dense/kernel"' in out
    assert '"sequential/dense/panels"' in out
    message = failing(capsys, "show", "net.py", "--step", "predict", "--prepare")
    assert "nothing is prepared for the predict step of this model: leave --prepare out" in message


def test_passes_and_profile_have_a_table_for_both_programs(
    script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("wide.py").write_text(WIDE)
    assert main(["passes", "wide.py"]) == 0
    out = capsys.readouterr().out
    assert out.index("sequential: predict_step") < out.index("sequential: prepare_predict_step")
    assert main(["profile", "wide.py", "--repeats", "1"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("predict_step for N = 32: ")
    assert "where a variable has changed, before that:\nprepare_predict_step: " in out


def test_show_prints_the_graph_of_any_pass(
    script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = {}
    for name in ("trace", "dce", "fuse"):
        assert main(["show", "net.py", "--step", "test", "--after", name, "-o", "-"]) == 0
        text[name] = capsys.readouterr().out.removeprefix("made\n")
    sizes = {name: len(parse_graph(body).nodes) for name, body in text.items()}
    assert sizes["trace"] > sizes["dce"] > sizes["fuse"]
    assert " = fused(" in text["fuse"]


def test_show_takes_detail_and_direction(script: Path) -> None:
    words = ["show", "net.py", "--detail", "kernels", "--direction", "LR", "-o", "k.dot"]
    assert main(words) == 0
    text = Path("k.dot").read_text()
    assert "rankdir=LR" in text
    assert "contract kernel" in text


def test_models_are_found_by_function_or_name(
    script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["show", "sub.py", "--input", "7:int32", "--after", "trace", "-o", "-"]
    assert main(words) == 0
    assert 'input i32[N,7] "x"' in capsys.readouterr().out
    assert main(["show", "two.py", "--name", "second", "--after", "trace", "-o", "-"]) == 0
    out = capsys.readouterr().out
    assert 'input f32[N,4] "y_0"' in out, "the target of the first output is like the output"
    assert 'graph "train_step"' in out


# passes


def test_passes_prints_a_table(
    script: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    peaks = []
    for batch in (8, 800):
        assert main(["passes", "net.py", "--batch-size", str(batch)]) == 0
        out = capsys.readouterr().out
        for word in ("simplify", "cse", "dce", "fuse", "schedule", "ms", "nodes before", "all"):
            assert word in out
        (memory,) = [line for line in out.splitlines() if line.startswith("memory")]
        assert f"N = {batch}: planned" in memory
        assert "without planning" in memory
        assert "lower bound" in memory
        peaks.append(memory)
    assert peaks[0].replace("N = 8", "") != peaks[1].replace("N = 800", "")


# info


def test_info_tells_the_machine(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("GRAPHKERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GRAPHKERAS_NUM_THREADS", "3")
    monkeypatch.setenv("GRAPHKERAS_CPU", "avx2")
    monkeypatch.setenv("PATH", "")
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    rows = {line[:16].strip(): line[16:].strip() for line in out.splitlines()}
    assert rows["graphkeras"] == graphkeras.__version__
    assert rows["threads"] == "3"
    assert rows["target"] == "avx2: vectors of 8 float32 (256 bits)"
    assert "home/kernels" in rows["kernel cache"]
    assert "(empty)" in rows["kernel cache"]
    assert "no `dot`" in rows["graphviz program"]
    assert "GRAPHKERAS_NUM_THREADS" in out
    assert not (tmp_path / "home").exists(), "looking makes no folder"


def test_info_counts_the_cache_and_finds_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graphkeras.cli.info import cache_text, gpu_text

    (tmp_path / "a.o.bin").write_bytes(b"x" * 1000)
    (tmp_path / "a.py").write_bytes(b"x" * 24)
    assert cache_text(tmp_path) == f"{tmp_path} (1 kernels, 1.00 KB)"
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA X1, 1024 MiB, 99.1'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_text() == "NVIDIA X1, 1024 MiB, 99.1"
    program.write_text("#!/bin/sh\nexit 9\n")
    assert "nvidia-smi failed" in gpu_text()


# reproduce


REPRODUCER = """# run: graphkeras reproduce it
# pass: {spec}
# error:
#   made up
graph "g" {{
  %0 = input f32[2] "x"
  %1:f32[2] = neg(%0)
  %2:f32[2] = exp(%0)
  return %1
}}
"""


def test_reproduce_runs_the_pass_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "it.ir"
    path.write_text(REPRODUCER.format(spec="dce"))
    assert main(["reproduce", str(path)]) == 0
    assert "pass dce went well on graph 'g': 2 nodes before, 1 after" in capsys.readouterr().out


def test_reproduce_reports_the_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from graphkeras.passes.dce import DeadCodeElimination

    def broken(self: object, graph: object) -> object:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(DeadCodeElimination, "__call__", broken)
    path = tmp_path / "it.ir"
    path.write_text(REPRODUCER.format(spec="dce"))
    message = failing(capsys, "reproduce", str(path), code=1)
    assert "pass dce failed on graph 'g': RuntimeError: broken on purpose" in message


def test_reproduce_wants_a_reproducer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no file 'nowhere.ir'" in failing(capsys, "reproduce", "nowhere.ir")
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    assert "is no reproducer" in failing(capsys, "reproduce", str(path))
    path.write_text(REPRODUCER.format(spec="dcf"))
    assert "Unknown pass 'dcf'. Did you mean 'dce'?" in failing(capsys, "reproduce", str(path))


# wrong input


def test_errors_are_one_clear_paragraph(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no file 'nope.py'" in failing(capsys, "show", "nope.py")
    Path("bad.py").write_text("import graphkeras\n1 / 0\n")
    message = failing(capsys, "show", "bad.py")
    assert "bad.py failed at line 2: ZeroDivisionError: division by zero" in message
    Path("empty.py").write_text("x = 1\n")
    assert "it holds no model. Name one with --name" in failing(capsys, "show", "empty.py")
    assert "it holds the models first, second" in failing(capsys, "show", "two.py")
    message = failing(capsys, "show", "two.py", "--name", "number")
    assert "number of two.py is no model but int" in message
    message = failing(capsys, "show", "two.py", "--name", "secnd")
    assert "no variable or function 'secnd'. Did you mean 'second'?" in message
    message = failing(capsys, "show", "two.py", "--name", "make")
    assert "make() of two.py failed: TypeError" in message


def test_errors_about_the_step(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = failing(capsys, "show", "two.py", "--name", "first", "--step", "train")
    assert "is not compiled, so it has no train step. Call model.compile" in message
    message = failing(capsys, "show", "sub.py")
    assert "the input shape of model 'net' is not known" in message
    assert "--input 28,28,1" in message
    message = failing(capsys, "show", "sub.py", "--input", "3,x")
    assert "--input 3,x is no shape" in message
    message = failing(capsys, "passes", "net.py", "--input", "5")
    assert "the train step cannot be traced" in message
    message = failing(capsys, "show", "net.py", "--after", "fus")
    assert "there is no pass 'fus'. Did you mean 'fuse'?" in message
    message = failing(capsys, "show", "net.py", "-o", "x.bmp")
    assert "it has the suffix '.bmp'. Use one of .png" in message


def test_wrong_words_end_with_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert "COMMAND" in failing(capsys)
    assert "invalid choice: 'shw'" in failing(capsys, "shw")
    message = failing(capsys, "passes", "net.py", "--batch-size", "0")
    assert "expected a whole number of at least 1" in message


def test_the_package_can_be_run() -> None:
    root = Path(graphkeras.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "graphkeras", "--version"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert done.stdout.strip() == graphkeras.__version__


# profile


def test_profile_prints_kernels_and_the_machine(
    script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["profile", "net.py", "--batch-size", "8", "--repeats", "3", "--trace", "t.json"]
    assert main(words) == 0
    done = capsys.readouterr()
    made, *lines = done.out.splitlines()
    assert made == "made"
    assert lines[0].startswith("train_step for N = 8: ")
    assert lines[0].endswith("median of 3 runs")
    assert lines[1].startswith("work ")
    assert any("(forward): " in line for line in lines)
    assert any("(backward): " in line for line in lines)
    assert any(line.startswith("fma peak ") for line in lines)
    assert lines[-1].startswith("roof: fma peak and ")
    assert done.err == "wrote t.json: open it at https://ui.perfetto.dev\n"
    assert json.loads(Path("t.json").read_text())["traceEvents"]


def test_profile_of_other_steps_and_threads(
    script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["profile", "net.py", "--step", "predict", "--repeats", "2", "--threads", "1"]
    try:
        assert main(words) == 0
    finally:
        pool.set_num_threads(None)
    line = capsys.readouterr().out.splitlines()[1]
    assert line.startswith("predict_step for N = 32: ")
    assert line.endswith(" us, 1 thread, median of 2 runs")


def test_profile_writes_json_only(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = failing(capsys, "profile", "net.py", "--trace", "trace.txt")
    assert "cannot write the trace trace.txt: its name must end in .json" in message
