"""What the tests of the contract package share: specs in a folder, and a small S3 server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracttest.s3 import FakeS3


@pytest.fixture
def spec_value(tmp_path: Path) -> dict[str, Any]:
    """Return a valid spec for the features stage, writing under the test's folder."""
    return {
        "run": "r-20261123-060000-0a1b2c3d",
        "stage": "features",
        "attempt": 2,
        "inputs": {"train": {"uri": f"file://{tmp_path}/train.parquet", "digest": "", "bytes": 3}},
        "output": f"file://{tmp_path}/out/",
        "parameters": {"test_split_ratio": 0.25, "seed": 7, "split": "time", "later": [1]},
        "image": "local",
        "commit": "",
        "deadline": "2099-01-01T00:00:00.123456789Z",
        "data": {"uri": "s3://landing/mail.parquet", "landed_at": "2026-11-23T05:59:58Z"},
    }


@pytest.fixture
def spec_uri(spec_value: dict[str, Any], tmp_path: Path) -> str:
    """Return the URI of that spec, written to a file."""
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec_value))
    return f"file://{path}"


@pytest.fixture
def s3() -> Iterator[FakeS3]:
    """Return a running S3 server without objects."""
    with FakeS3() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
