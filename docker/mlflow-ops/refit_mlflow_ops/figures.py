"""The figures of an evaluation: what the gate reads, and the details that people read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from refit_mlflow_ops import measures
from refit_mlflow_ops.plots import Judged
from refit_mlflow_ops.split import Split


def of_quality(
    *, split: Split, winner: Judged, other: Judged, seen_domains: Collection[str], seed: int
) -> dict[str, Any]:
    """Return the figures of the contract that tell how good the winner is.

    `seen_domains` are the sender domains of train. A figure without a value (an area over one
    class, F1 over no mail) is None.
    """
    calls = winner.probabilities >= winner.threshold
    got = _measure(split, winner)
    interval = measures.f1_interval(labels=split.labels, calls=calls, groups=split.groups, seed=seed)
    seen = np.array([domain in seen_domains for domain in split.sender_domains], dtype=bool)
    return {
        "winner": winner.name,
        **_flat(got),
        "threshold": winner.threshold,
        "f1_low": interval.low,
        "f1_high": interval.high,
        "f1_seen_domains": _f1_of(split.labels, calls, seen),
        "f1_unseen_domains": _f1_of(split.labels, calls, ~seen),
        "rows_unseen_domains": int(np.sum(~seen)),
        "other_f1": _measure(split, other).confusion.f1,
    }


def details(*, figures: Mapping[str, Any], split: Split, winner: Judged, other: Judged) -> dict[str, Any]:
    """Return the content of figures.json: the figures, both candidates and the calibration."""
    bins = measures.calibration(labels=split.labels, probabilities=winner.probabilities)
    return {
        **figures,
        "candidates": {
            judged.name: {"threshold": judged.threshold, **_flat(_measure(split, judged))} for judged in (winner, other)
        },
        "calibration": [asdict(b) for b in bins],
    }


def numbers(figures: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures that are numbers, as MLflow metrics named test_…."""
    return {
        f"test_{name}": float(value)
        for name, value in figures.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _flat(got: measures.Measures) -> dict[str, Any]:
    return {
        "rows": got.rows,
        "f1": got.confusion.f1,
        "precision": got.confusion.precision,
        "recall": got.confusion.recall,
        "auc": got.auc,
        "pr_auc": got.pr_auc,
        "log_loss": got.log_loss,
        "brier": got.brier,
        "ece": got.ece,
        **asdict(got.confusion),
    }


def _measure(split: Split, judged: Judged) -> measures.Measures:
    return measures.measure(labels=split.labels, probabilities=judged.probabilities, threshold=judged.threshold)


def _f1_of(labels: measures.Labels, calls: npt.NDArray[np.bool_], rows: npt.NDArray[np.bool_]) -> float | None:
    if not rows.any():
        return None
    return measures.confusion(labels=labels[rows], calls=calls[rows]).f1
