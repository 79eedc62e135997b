"""Run a stage in this process, on files."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from refit_contract.run import Work, main

LANDED_AT = "2026-11-23T05:59:58Z"
"""When every upload of the tests landed."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One finished attempt: its folder, exit code and result (empty when there is none)."""

    folder: Path
    code: int
    result: Mapping[str, Any]

    def table(self, name: str) -> pl.DataFrame:
        """Return the parquet artifact `name`."""
        return pl.read_parquet(self.folder / f"{name}.parquet")

    def json(self, name: str) -> Any:
        """Return the JSON artifact `name`."""
        return json.loads((self.folder / f"{name}.json").read_text())

    def message(self) -> str:
        """Return the error message; fails when the attempt succeeded."""
        if self.code != 1 or self.result.get("outcome") != "failed":
            raise AssertionError(f"the attempt did not fail: exit code {self.code}, {self.result}")
        return f"{self.result['error']['reason']}: {self.result['error']['message']}"


def run_stage(
    stage: str, work: Work, folder: Path, inputs: Mapping[str, Path | Mapping[str, Any]], **parameters: Any
) -> Attempt:
    """Run `work` as the workload of `stage`, writing to `folder`; return how it ended."""
    folder.mkdir(parents=True, exist_ok=True)
    given = {k: {"uri": f"file://{v}"} if isinstance(v, Path) else dict(v) for k, v in inputs.items()}
    spec = {
        "run": "r-20261123-060000-0a1b2c3d",
        "stage": stage,
        "attempt": 1,
        "inputs": given,
        "output": f"file://{folder}/",
        "parameters": {"test_split_ratio": 0.2, "seed": 42, "split": "hash", **parameters},
        "deadline": "2099-01-01T00:00:00Z",
        "data": {"uri": "s3://landing/mail.parquet", "landed_at": LANDED_AT},
    }
    path = folder / "spec.json"
    path.write_text(json.dumps(spec))
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        code = main(stage, work, argv=[f"file://{path}"])
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    result = folder / "result.json"
    return Attempt(folder=folder, code=code, result=json.loads(result.read_text()) if result.exists() else {})
