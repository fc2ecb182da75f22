"""What the results look like on disk, as Markdown and as a picture."""

from __future__ import annotations

import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import plot, report, results
from benchmarks.rows import ROWS

MACHINE = {
    "processor": "Test CPU with AVX-512",
    "cores": "2",
    "system": "Linux x86_64",
    "python": "3.11.7",
    "numpy": "2.0",
}
RESULTS = {
    "machine": MACHINE,
    "rows": {
        "product/512": {
            "graphkeras": {"first": 1.0, "rounds": [0.002, 0.001, 0.003]},
            "graphkeras-1": {"rounds": [0.002]},
            "numpy": {"rounds": [0.0015]},
            "torch": {"error": "ImportError: no torch"},
            "roofline": {"rounds": [0.00081]},
            "roofline-1": {"rounds": [0.0015]},
        },
        "conv/1x1-56-64-b1-forward": {
            "graphkeras": {"rounds": [0.0002]},
            "torch": {"rounds": [0.0001]},
            "roofline": {"rounds": [0.000102]},
        },
        "conv/1x1-56-64-b1-weight-gradient": {
            "graphkeras": {"error": "CompileError: no"},
            "torch": {"error": "no"},
        },
        "train/mlp": {
            "graphkeras": {"rounds": [0.0005]},
            "graphkeras-1": {"rounds": [0.0005]},
            "keras-tensorflow": {"rounds": [0.005]},
            "keras-tensorflow-jit": {"rounds": [0.004]},
        },
    },
}

TEXT = """\
2 cores of Test CPU with AVX-512; Linux x86_64, Python 3.11.7; numpy 2.0. float32 everywhere. \
The systems took turns, one round each, in processes of their own; given are the median round \
and, in brackets, the fastest. For the peers: how many times as long as graphkeras, fastest \
round by fastest. Beside `all threads : one`, in brackets, is what the machine's own limits give \
there.

### Matrix products and dense layers

|  | graphkeras, ms | of the roofline | all threads : one | NumPy | torch |
| --- | --- | --- | --- | --- | --- |
| 512 x 512 x 512 | 2.00 (1.00) | 81% | 2.00 (1.85) | 1.50 | failed |

### Convolutions, stride 1, image size kept

| ms / of the roofline / all threads : one / torch | forward | input gradient | weight gradient |
| --- | --- | --- | --- |
| 1x1, 56x56, 64 to 64, batch 1 | 0.200 (0.200) / 51% / 0.50 |  | failed / failed |

### One training step, through `fit`

|  | graphkeras, ms | all threads : one | torch | Keras + TensorFlow | Keras + JAX | Keras + torch |
| --- | --- | --- | --- | --- | --- | --- |
| MLP 784-128-dropout-10, Adam, batch 32 | 0.500 (0.500) | 1.00 |  | 8.00 jit |  |  |

### What falls short

3 of 9 goals are met.

|  | goal: received | reason |
| --- | --- | --- |
| 1x1, 56x56, 64 to 64, batch 1, forward | 75% of the roofline: 51%; 1x torch: 0.50x |  |
| 1x1, 56x56, 64 to 64, batch 1, weight gradient | 75% of the roofline: failed; 1x torch: failed; \
1.7x one thread: failed | CompileError: no |
| MLP 784-128-dropout-10, Adam, batch 32 | 15x Keras + TensorFlow, jit_compile: 8.00x |  |

Systems that failed:

* 512 x 512 x 512: torch: ImportError: no torch
* 1x1, 56x56, 64 to 64, batch 1, weight gradient: torch: no
"""


def test_the_report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    reasons = tmp_path / "reasons.toml"
    reasons.touch()
    monkeypatch.setattr(report, "REASONS", reasons)
    assert report.markdown(RESULTS) == TEXT


def test_reasons_belong_to_rows():
    assert set(tomllib.loads(report.REASONS.read_text(encoding="utf-8"))) <= set(ROWS)


def test_the_report_replaces_what_is_between_the_marks(tmp_path: Path):
    page = tmp_path / "README.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", encoding="utf-8")
    report.merge_into(page, "new\n")
    written = page.read_text(encoding="utf-8")
    assert written == f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n"


def test_a_page_without_marks_is_left_alone(tmp_path: Path):
    page = tmp_path / "README.md"
    page.write_text("text", encoding="utf-8")
    with pytest.raises(ValueError, match="has no lines <!-- speed: begin --> and <!-- speed: end"):
        report.merge_into(page, "new\n")
    assert page.read_text(encoding="utf-8") == "text"


def test_results_are_kept_row_by_row(tmp_path: Path):
    file = tmp_path / "folder" / "results.json"
    assert results.load(file) == {"machine": {}, "rows": {}}
    results.save(file, RESULTS)
    assert results.load(file) == RESULTS
    assert results.rounded({"x": {"first": 1.23456, "rounds": [9.87654e-6]}}) == {
        "x": {"first": 1.235, "rounds": [9.877e-06]}
    }


def test_the_picture_is_well_formed(tmp_path: Path):
    file = tmp_path / "speed.svg"
    plot.write(file, report.judges(RESULTS))
    texts = [e.text for e in ElementTree.parse(file).iter() if e.tag.endswith("text")]
    assert "1.50x  NumPy" in texts
    assert "81%" in texts
