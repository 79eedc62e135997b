"""Serving rehearsed before anything is registered: raw mail in, the matrix's predictions out.

Twice: `check_features` in this process, which can name the feature that differs, and `Scoring` in
a clean interpreter, which has nothing but what MLflow keeps of the model.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt

from refit_contract import FEATURES, InternalError
from refit_mlflow_ops import measures
from refit_mlflow_ops.detector import SPAM, Detector

TOLERANCE: Final = 1e-6
"""How far the probability from raw mail may be from the one from the matrix."""

_BATCH = 1000


class ScoringError(Exception):
    """A model could not be loaded or did not score; the message is the last line of its log."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a model said about each mail, shape (n,)."""

    probabilities: measures.Probabilities
    calls: npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """An interpreter of its own for one model, which it puts to work on raw mail."""

    process: subprocess.Popen[bytes]
    out: Path
    log: Path

    def begin(self, *, model: str, mails: Path, now: datetime) -> None:
        """Score the column `raw` of the file `mails` with `model`, a folder or a model URI.

        `now` is the time of the call for a model that can be told. Call once.
        """
        request = {"model": model, "mails": str(mails), "now": now.isoformat(), "out": str(self.out)}
        # An interpreter that has died already says why in its log, for `result` to tell.
        with suppress(BrokenPipeError), self._requests() as requests:
            requests.write(json.dumps(request).encode() + b"\n")

    def _requests(self) -> IO[bytes]:
        if self.process.stdin is None:
            raise InternalError("the scoring process was started without a pipe to it")
        return self.process.stdin

    def result(self, *, seconds: float) -> Scores:
        """Wait at most `seconds` for the scores.

        Raises ScoringError when the model failed, took longer, or gave no probabilities.
        """
        import polars as pl

        try:
            code = self.process.wait(timeout=max(0.0, seconds))
        except subprocess.TimeoutExpired as err:
            raise ScoringError(f"it did not answer within {seconds:.0f} s") from err
        if code:
            raise ScoringError(f"it cannot be loaded: {_last_line(self.log) or code}")
        scored = pl.read_parquet(self.out)
        probabilities = scored["probability"].to_numpy()
        if scored.null_count().sum_horizontal().sum() or not np.isfinite(probabilities).all():
            raise ScoringError("it left mails without probability or label")
        return Scores(probabilities=probabilities, calls=(scored["label"] == SPAM).to_numpy())


@contextmanager
def scoring(*, name: str, scratch: Path) -> Iterator[Scoring]:
    """Start a clean interpreter that waits for its model; it needs seconds to import what models need.

    The process is ended when the block is left before it is done.
    """
    folder = scratch / f"score-{name}"
    folder.mkdir()
    out, log = folder / "scores.parquet", folder / "log.txt"
    script = Path(__file__).with_name("score.py")
    # Isolated: neither PYTHONPATH nor this folder may lend the model code that it lacks.
    command = [sys.executable, "-I", str(script)]
    with log.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603 - a list of our own making, no shell
            command,
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(folder)},
        )
    try:
        yield Scoring(process=process, out=out, log=log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdin:
            with suppress(BrokenPipeError):
                process.stdin.close()


def check_features(
    *,
    detector: Detector,
    mails: Path,
    now: datetime,
    matrix: Path,
    email_ids: list[str],
    probabilities: measures.Probabilities,
) -> int:
    """Return how many mails of the file `mails` have the predictions that the matrix has.

    `now` is when the mails landed: no later time in them is believed, as in training. `email_ids`
    and `probabilities` are those of the rows of `matrix`. Raises InternalError naming
    the first email_id and feature that differ.
    """
    import pyarrow.parquet as pq

    place = {email_id: row for row, email_id in enumerate(email_ids)}
    checked = 0
    for batch in pq.ParquetFile(mails).iter_batches(_BATCH, columns=["email_id", "raw"]):
        ids: list[str] = batch["email_id"].to_pylist()
        if unknown := [i for i in ids if i not in place]:
            raise InternalError(f"mail {unknown[0]} has raw mail but no row in the test matrix")
        rows = np.array([place[i] for i in ids])
        features = detector.features(batch["raw"].to_pylist(), now=now)
        apart = np.abs(detector.probabilities(features) - probabilities[rows]) > TOLERANCE
        if apart.any():
            first = int(np.argmax(apart))
            _raise_difference(ids[first], features[first], matrix)
        checked += len(ids)
    return checked


def check_scores(*, scores: Scores, expected: measures.Probabilities) -> None:
    """Raise InternalError when the logged model does not predict what was evaluated."""
    if scores.probabilities.shape != expected.shape:
        raise InternalError(f"the logged model scored {len(scores.probabilities)} of {len(expected)} mails")
    worst = float(np.max(np.abs(scores.probabilities - expected), initial=0.0))
    if worst > TOLERANCE:
        raise InternalError(
            f"the logged model differs from the evaluated one by up to {worst:.3g}; at most {TOLERANCE:g} is accepted"
        )


def _raise_difference(email_id: str, served: npt.NDArray[np.float32], matrix: Path) -> None:
    import polars as pl

    row = pl.scan_parquet(matrix).filter(pl.col("email_id") == email_id).collect()
    trained = row.select(FEATURES).to_numpy()[0]
    differs = np.flatnonzero(~np.isclose(served, trained, rtol=1e-6, atol=1e-9))
    if not len(differs):
        raise InternalError(f"mail {email_id} has equal features but another prediction when served")
    at = int(differs[0])
    raise InternalError(
        f"serving would differ from training: mail {email_id} has {FEATURES[at]} = {served[at]:g} "
        f"from raw mail but {trained[at]:g} in the test matrix ({len(differs)} features differ); "
        "mend the feature code, then run again"
    )


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip()[:500] if lines else ""
