"""Run prepare and features on one file: `stages.py DATA.parquet FOLDER`.

Each is a process of its own, as on the event path, with files for a store. The output is JSON:
for each stage its seconds of work, CPU seconds and peak resident memory in MiB.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

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
        process = subprocess.Popen(command, env=env, stdout=out, stderr=out)  # noqa: S603 - our own module
        _, status, used = os.wait4(process.pid, 0)
    text = log.read_text()
    took = _TOOK.search(text)
    if status or took is None:
        raise SystemExit(text[-2000:])
    found = {"seconds": float(took[1]), "cpu": used.ru_utime + used.ru_stime, "rss_mib": used.ru_maxrss / 1024}
    return found, json.loads((folder / "result.json").read_text())["artifacts"]


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
