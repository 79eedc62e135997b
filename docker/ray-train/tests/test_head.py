"""The head that a step of a pipeline brings along."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from refit_contract.run import EXIT_CRASHED
from refit_ray_train import head

DRIVER = """
import os, pathlib, sys
import ray
ray.init(address=os.environ["RAY_ADDRESS"], log_to_driver=False)
pathlib.Path(sys.argv[1]).write_text(f'{os.environ["RAY_AUTH_TOKEN_PATH"]} {ray.cluster_resources()["CPU"]:.0f}')
sys.exit(7)
"""


def test_the_command_has_a_head_for_as_long_as_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It joins the head, its exit code is the answer, and of the head nothing is left."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("REFIT_CPUS", "2")

    assert head.main([sys.executable, "-c", DRIVER, str(tmp_path / "seen")]) == 7

    token, cpus = (tmp_path / "seen").read_text().split()
    assert cpus == "2"
    assert not Path(token).parent.exists()
    assert not [pid for pid in Path("/proc").glob("[0-9]*") if _names(pid, Path(token).parent)]


def test_a_cluster_that_is_there_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With RAY_ADDRESS set the command runs as it is."""
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    code = "import os, pathlib, sys; pathlib.Path(sys.argv[1]).write_text(os.environ['RAY_ADDRESS'])"

    assert head.main([sys.executable, "-c", code, str(tmp_path / "seen")]) == 0
    assert (tmp_path / "seen").read_text() == "head:6379"


def test_a_head_that_dies_is_told_with_its_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command does not run then."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    command = [sys.executable, "-c", "print('no memory'); raise SystemExit(1)"]
    monkeypatch.setattr(head, "_command", lambda _folder, _cpus: ("127.0.0.1:1", command))

    assert head.main([sys.executable, "-c", "print('ran')"]) == EXIT_CRASHED

    assert "the Ray head did not start: no memory" in capsys.readouterr().err


def _names(pid: Path, folder: Path) -> bool:
    try:
        return os.fsencode(folder) in (pid / "cmdline").read_bytes()
    except OSError:
        return False
