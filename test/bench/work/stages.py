"""Run prepare and features on one file: `stages.py DATA.parquet FOLDER`.

Each is a process of its own, as on the event path, with files for a store. The output is JSON:
for each stage its seconds of work, CPU seconds, and the peak in MiB of what all its processes hold
in memory, pages that they share counted once.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[3]
PATHS = [str(ROOT / "docker" / name) for name in ("contract", "data-prep")]
sys.path[:0] = PATHS

from refit_contract.plan import PLAN  # noqa: E402 - the path comes first

_TOOK = re.compile(r"succeeded after ([0-9.]+) s")


def run(stage: str, inputs: dict[str, Any], folder: Path) -> tuple[dict[str, float], dict[str, Any]]:
    """Run `stage` in `folder`; return what it took and its artifacts."""
    folder.mkdir(parents=True)
    parameters = {"test_split_ratio": 0.2, "seed": 42, "split": "hash", "num_hpo_trials": 20, "num_workers": 1}
    spec = {
        "run": "r-20261123-060000-0a1b2c3d",
        "stage": stage,
        "attempt": 1,
        "inputs": {name: inputs[name] for name in PLAN[stage].required},
        "output": f"{folder.as_uri()}/",
        "parameters": {**parameters, "f1_threshold": 0.85, "model_name": "bench"},
        "deadline": "2099-01-01T00:00:00Z",
        "data": {"uri": "s3://landing/mail.parquet", "landed_at": "2026-11-23T05:59:58Z"},
    }
    path = folder / "spec.json"
    path.write_text(json.dumps(spec))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(PATHS), "REFIT_TMPDIR": str(folder)}
    log = folder / "log.txt"
    with log.open("wb") as out:
        command = [sys.executable, "-m", f"refit_data_prep.{stage}", path.as_uri()]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        process = subprocess.Popen(command, env=env, stdout=out, stderr=out)  # noqa: S603 - our own module
        peak = _peak(process)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    text = log.read_text()
    took = _TOOK.search(text)
    if process.returncode or took is None:
        raise SystemExit(text[-2000:])
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = {"seconds": float(took[1]), "cpu": cpu, "rss_mib": peak / (1 << 20)}
    return found, json.loads((folder / "result.json").read_text())["artifacts"]


def _peak(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of `process`; return the most bytes that it and its children held at once."""
    peak, first = 0, psutil.Process(process.pid)
    while process.poll() is None:
        with suppress(psutil.Error):
            peak = max(peak, sum(p.memory_full_info().pss for p in (first, *first.children(recursive=True))))
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.1)
    return peak


def main(data: Path, folder: Path) -> None:
    """Run both stages and print what they took."""
    artifacts: dict[str, Any] = {"entity_data": {"uri": data.resolve().as_uri()}}
    took = {}
    for stage in ("prepare", "features"):
        took[stage], made = run(stage, artifacts, folder.resolve() / stage)
        artifacts |= made
    print(json.dumps(took))  # noqa: T201 - what it measured is its output


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
