"""Twenty trials by Ray Tune and by a sequential Optuna loop: `tune.py FOLDER DATA.parquet RUNS`.

Both search the matrix of DATA on the same cores, turn by turn, in a process that has imported
everything and joined a Ray head that stays; the loop gives all threads to its one trial. The
output is JSON: the seconds of both, and the F1 on validation that each came to.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT / "docker" / name) for name in ("contract", "ray-train")] + [str(ROOT / "test" / "bench")]

from refit_ray_train import cluster, head  # noqa: E402 - the path comes first

if __name__ == "__main__" and not os.environ.get("RAY_ADDRESS"):
    # Ray reads some of its settings at its import: they come with the head's environment.
    sys.exit(head.main([sys.executable, *sys.argv]))

import plain  # noqa: E402

# isort: split

import halving  # noqa: E402

from refit_data_prep import split  # noqa: E402
from refit_ray_train.booster import Parameters  # noqa: E402
from refit_ray_train.matrix import Matrix  # noqa: E402
from refit_ray_train.trials import best  # noqa: E402


def matrix(data: Path, folder: Path) -> Matrix:
    """Return the training matrix of the file `data`."""
    found = plain.featured(*plain.parse(data, folder, datetime.now(UTC)))
    train = found.part(split.FIT, split.VALIDATION)
    return Matrix(
        features=found.features[train],
        labels=found.mails["label"].to_numpy()[train].astype("float32"),
        fit=found.part(split.FIT)[train],
    )


def main(folder: Path, data: Path, runs: int) -> None:
    """Measure and print."""
    rows = matrix(data, folder)
    cluster._settle(os.environ, deadline=datetime.now(UTC) + timedelta(hours=1))
    import ray

    ray.init(address=os.environ["RAY_ADDRESS"], log_to_driver=False)
    _tuned(rows, trials=2, name="warm", folder=folder)
    found: dict[str, list[float]] = {"tune": [], "loop": [], "tune_f1": [], "loop_f1": []}
    for turn in range(runs):
        began = time.monotonic()
        f1 = _tuned(rows, trials=plain.TRIALS, name=f"turn-{turn}", folder=folder)
        found["tune"].append(time.monotonic() - began)
        found["tune_f1"].append(f1)
        began = time.monotonic()
        tried = halving.search(rows, trials=plain.TRIALS, at_once=1, threads=plain.CPUS, seed=plain.SEED)
        found["loop"].append(time.monotonic() - began)
        found["loop_f1"].append(halving.best(tried).fit.figures.f1)
    ray.shutdown()
    print(json.dumps(found))  # noqa: T201 - what it measured is its output


def _tuned(rows: Matrix, *, trials: int, name: str, folder: Path) -> float:
    from refit_ray_train import search

    plan: Any = search.Plan(
        trials=trials, at_once=plain.CPUS, threads=1, seed=plain.SEED, first=Parameters(), grace=search.GRACE
    )
    storage = Path(tempfile.mkdtemp(dir=folder))
    winner = best(search.run(plan, rows, name=name, storage=storage, on_end=lambda _: None))
    if winner is None or winner.figures is None:
        raise SystemExit(f"{name}: no trial came to a figure")
    return winner.figures.f1


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), int(sys.argv[3]))
