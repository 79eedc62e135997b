"""From probabilities to decisions: the threshold that validation chooses, and its figures.

A mail is spam when its probability is at least the threshold. Probabilities are arrays of shape
(n,), labels arrays of 0 and 1 of the same shape that hold both.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

_EDGE = 1e-15
"""Probabilities are kept this far from 0 and 1 in the log loss: 34.5 nats for a mail at most."""

Values = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """How well probabilities tell spam from ham at `threshold`; `log_loss` is in nats."""

    f1: float
    precision: float
    recall: float
    auc: float
    log_loss: float
    threshold: float

    def json(self) -> dict[str, float]:
        """Return the fields by name."""
        return asdict(self)


def judge(*, labels: Values, probabilities: Values) -> Figures:
    """Return the figures at the threshold that maximises F1."""
    threshold = choose(labels=labels, probabilities=probabilities)
    said = probabilities.astype(np.float64) >= threshold
    hits = float(np.sum(labels[said]))
    return Figures(
        f1=2 * hits / (float(said.sum()) + float(labels.sum())),
        precision=hits / float(said.sum()),
        recall=hits / float(labels.sum()),
        auc=auc(labels=labels, probabilities=probabilities),
        log_loss=log_loss(labels=labels, probabilities=probabilities),
        threshold=threshold,
    )


def choose(*, labels: Values, probabilities: Values) -> float:
    """Return the threshold with the highest F1: the middle of the widest interval that has it.

    Of intervals of the same width the highest counts, so equal input gives equal output.
    """
    levels, f1 = _f1_by_level(labels, probabilities)
    # With the k highest levels called spam, any threshold in (levels[k + 1], levels[k]] is the
    # same decision; below the lowest level the interval ends at 0.
    floors = np.append(levels[1:], 0.0)
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    widest = best[np.argmax(levels[best] - floors[best])]
    return float((levels[widest] + floors[widest]) / 2)


def best_f1(*, labels: Values, probabilities: Values) -> float:
    """Return the F1 that the best threshold reaches."""
    return float(_f1_by_level(labels, probabilities)[1].max())


def auc(*, labels: Values, probabilities: Values) -> float:
    """Return the area under the ROC curve; equal probabilities count half."""
    _, places, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    # The mean rank of each level, ranks counted from 1.
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    spam = float(labels.sum())
    ham = len(labels) - spam
    return float((ranks[labels == 1].sum() - spam * (spam + 1) / 2) / (spam * ham))


def log_loss(*, labels: Values, probabilities: Values) -> float:
    """Return the mean negative log likelihood in nats."""
    p = np.clip(probabilities.astype(np.float64), _EDGE, 1 - _EDGE)
    return float(-np.mean(np.where(labels == 1, np.log(p), np.log1p(-p))))


def _f1_by_level(labels: Values, probabilities: Values) -> tuple[Values, Values]:
    """Return the distinct probabilities, falling, and the F1 when all from there up are spam."""
    order = np.argsort(-probabilities, kind="stable")
    falling = probabilities[order].astype(np.float64)
    last = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
    hits = np.cumsum(labels[order], dtype=np.float64)[last]
    return falling[last], 2 * hits / (last + 1 + float(labels.sum()))
