"""Figures on disk: rows that are measured again replace the old ones, the others stay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.measure import Result

DEFAULT = Path(__file__).with_name("results.json")


def load(file: Path) -> dict[str, Any]:
    """`{"machine": ..., "rows": {key: result}}`; no rows if there is no file."""
    if not file.exists():
        return {"machine": {}, "rows": {}}
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def save(file: Path, results: dict[str, Any]) -> None:
    """Writes one line a row, so that a new measurement is a readable difference."""
    rows = [f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(results["rows"].items())]
    text = f'{{"machine": {json.dumps(results["machine"], indent=1)},\n"rows": {{\n'
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text + ",\n".join(rows) + "\n}}\n", encoding="utf-8")


def rounded(result: Result) -> Result:
    """Times with four digits: more are noise."""
    return {
        name: {
            key: [_digits(v) for v in value] if key == "rounds" else _digits(value)
            for key, value in cell.items()
        }
        for name, cell in result.items()
    }


def _digits(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value
