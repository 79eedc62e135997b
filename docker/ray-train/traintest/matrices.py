"""Small training matrices with all columns, and specs that name them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from refit_contract import FEATURES


def table(*, rows: int = 600, seed: int = 0) -> pa.Table:
    """Return a training matrix in which five columns tell spam from ham, most of the time."""
    random = np.random.default_rng(seed)
    labels = (random.random(rows) < 0.35).astype(np.int8)
    features = random.random((rows, len(FEATURES)), dtype=np.float32)
    features[:, :5] += (labels * random.random((5, rows))).T.astype(np.float32)
    parts = np.where(np.arange(rows) % 5 == 0, "validation", "fit")
    keys = {
        "email_id": [f"mail-{i}" for i in range(rows)],
        "event_timestamp": pa.array(np.arange(rows) * 1_000_000, pa.timestamp("us", "UTC")),
        "sender_domain": ["example.org"] * rows,
        "label": labels,
        "part": parts,
        "group": [f"group-{i}" for i in range(rows)],
    }
    return pa.table({**keys, **{name: features[:, i] for i, name in enumerate(FEATURES)}})


def write(path: Path, content: pa.Table) -> dict[str, Any]:
    """Write `content` to `path` and return it as an input of a spec."""
    pq.write_table(content, path)
    return as_input(path)


def as_input(path: Path) -> dict[str, Any]:
    """Return the file `path` as an input of a spec, with its digest."""
    content = path.read_bytes()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return {"uri": f"file://{path}", "digest": digest, "bytes": len(content)}


def spec(folder: Path, *, stage: str, inputs: dict[str, Any], attempt: int = 1, **parameters: Any) -> str:
    """Write a spec with output `folder`, made here, and return the URI of the spec."""
    folder.mkdir()
    content = {
        "run": "r-20261123-060000-0a1b2c3d",
        "stage": stage,
        "attempt": attempt,
        "inputs": inputs,
        "output": f"file://{folder}/",
        "parameters": {"test_split_ratio": 0.2, "seed": 42, "model_name": "detector", **parameters},
        "deadline": "2099-01-01T00:00:00Z",
        "data": {"uri": "s3://landing/mail.parquet", "landed_at": "2026-11-23T05:59:58Z"},
    }
    path = folder / "spec.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return f"file://{path}"
