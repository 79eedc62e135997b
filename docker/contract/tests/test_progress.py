from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from refit_contract.progress import Progress
from refit_contract.store import Store


def test_progress_is_written_at_most_once_a_second(tmp_path: Path) -> None:
    """Calls that come too early are dropped; the next one after a second is written."""
    now = [10.0]
    progress = Progress(store=Store(env={}), uri=f"file://{tmp_path}/progress.json", clock=lambda: now[0])
    path = tmp_path / "progress.json"

    progress.report("trials", done=1, total=20, message="best F1 0.9")
    first = json.loads(path.read_text())
    now[0] = 10.9
    progress.report("trials", done=2, total=20)
    assert json.loads(path.read_text()) == first
    now[0] = 11.0
    progress.report("trials", done=3, total=20)

    assert {k: first[k] for k in ("step", "done", "total", "message")} == {
        "step": "trials",
        "done": 1,
        "total": 20,
        "message": "best F1 0.9",
    }
    assert json.loads(path.read_text())["done"] == 3


def test_a_store_that_refuses_does_not_end_the_work(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Progress is a courtesy: failing to write it is logged and nothing else."""
    (tmp_path / "file").write_text("")
    progress = Progress(store=Store(env={}), uri=f"file://{tmp_path}/file/progress.json")

    with caplog.at_level(logging.WARNING):
        progress.report("trials", done=1, total=2)

    assert "no progress written" in caplog.text
