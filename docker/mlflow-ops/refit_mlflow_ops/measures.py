"""Figures of a binary classifier, and how sure one can be of them.

Everything here is a pure function of labels (1 spam, 0 ham), probabilities of spam and, for the
intervals, the group of near-identical mails that each row belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int8]
Probabilities = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Groups = npt.NDArray[np.str_] | npt.NDArray[np.object_]

RESAMPLES = 2000
"""How often the bootstrap draws; 2.5 % of it is 50 draws in each tail."""

_LOW, _HIGH = 2.5, 97.5
_EDGE = 1e-15  # log loss of a probability of exactly 0 or 1 is bounded as in scikit-learn


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """How many mails fell where; spam is the positive class."""

    tp: int
    fp: int
    tn: int
    fn: int

    @property
    def precision(self) -> float:
        """Share of the mails called spam that are spam; 0 when none was called spam."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of the spam that was called spam; 0 when there is no spam."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 when there is no spam and none was called."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value with its bootstrap 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Bin:
    """One calibration bin: `rows` mails whose mean probability and share of spam are given."""

    rows: int
    mean_probability: float
    spam_share: float


@dataclass(frozen=True, kw_only=True)
class Measures:
    """All figures of one candidate on one set of mails.

    `auc` and `pr_auc` are None when the set holds one class only: they have no value then.
    """

    rows: int
    confusion: Confusion
    auc: float | None
    pr_auc: float | None
    log_loss: float
    brier: float
    ece: float


def measure(*, labels: Labels, probabilities: Probabilities, threshold: float) -> Measures:
    """Return every figure of `probabilities` (shape (n,)) against `labels` (shape (n,)).

    A mail is called spam when its probability is at least `threshold`.
    Raises ValueError when there are no rows, shapes differ or a probability is not in [0, 1].
    """
    _check(labels, probabilities)
    one_class = labels.min() == labels.max()
    return Measures(
        rows=len(labels),
        confusion=confusion(labels=labels, calls=probabilities >= threshold),
        auc=None if one_class else roc_auc(labels=labels, probabilities=probabilities),
        pr_auc=None if one_class else average_precision(labels=labels, probabilities=probabilities),
        log_loss=log_loss(labels=labels, probabilities=probabilities),
        brier=float(np.mean((probabilities - labels) ** 2)),
        ece=expected_calibration_error(calibration(labels=labels, probabilities=probabilities), rows=len(labels)),
    )


def confusion(*, labels: Labels, calls: npt.NDArray[np.bool_]) -> Confusion:
    """Count hits and misses of `calls` (True: called spam), shape (n,)."""
    spam = labels == 1
    return Confusion(
        tp=int(np.sum(spam & calls)),
        fp=int(np.sum(~spam & calls)),
        tn=int(np.sum(~spam & ~calls)),
        fn=int(np.sum(spam & ~calls)),
    )


def roc_auc(*, labels: Labels, probabilities: Probabilities) -> float:
    """Return the chance that a random spam mail scores above a random ham mail (ties count half)."""
    false, true, _ = roc_curve(labels=labels, probabilities=probabilities)
    return float(np.trapezoid(true, false))


def roc_curve(*, labels: Labels, probabilities: Probabilities) -> tuple[Probabilities, Probabilities, Probabilities]:
    """Return false positive rate, true positive rate and threshold, from strict to lax.

    All three have one entry per distinct probability after a first (0, 0, infinity).
    """
    hits, calls, thresholds = _sweep(labels, probabilities)
    spam = hits[-1]
    return (
        np.concatenate([[0.0], (calls - hits) / (len(labels) - spam)]),
        np.concatenate([[0.0], hits / spam]),
        np.concatenate([[np.inf], thresholds]),
    )


def average_precision(*, labels: Labels, probabilities: Probabilities) -> float:
    """Return the area under the precision-recall steps (no interpolation between them)."""
    precision, recall, _ = pr_curve(labels=labels, probabilities=probabilities)
    return float(np.sum(np.diff(np.concatenate([[0.0], recall])) * precision))


def pr_curve(*, labels: Labels, probabilities: Probabilities) -> tuple[Probabilities, Probabilities, Probabilities]:
    """Return precision, recall and threshold for each distinct probability, from strict to lax."""
    hits, calls, thresholds = _sweep(labels, probabilities)
    return hits / calls, hits / hits[-1], thresholds


def log_loss(*, labels: Labels, probabilities: Probabilities) -> float:
    """Return the mean negative log likelihood in nats, each term bounded by 34.5."""
    clipped = np.clip(probabilities, _EDGE, 1 - _EDGE)
    return float(-np.mean(np.where(labels == 1, np.log(clipped), np.log1p(-clipped))))


def calibration(*, labels: Labels, probabilities: Probabilities, bins: int = 10) -> list[Bin]:
    """Return the non-empty ones of `bins` equally wide probability bins, from low to high."""
    place = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    rows = np.bincount(place, minlength=bins)
    means = np.bincount(place, weights=probabilities, minlength=bins)
    spam = np.bincount(place, weights=labels, minlength=bins)
    return [
        Bin(rows=int(n), mean_probability=float(p / n), spam_share=float(s / n))
        for n, p, s in zip(rows, means, spam, strict=True)
        if n
    ]


def expected_calibration_error(bins: list[Bin], *, rows: int) -> float:
    """Return the mean distance between promised and true spam share, weighted by rows."""
    return sum(b.rows * abs(b.mean_probability - b.spam_share) for b in bins) / rows


def f1_interval(*, labels: Labels, calls: npt.NDArray[np.bool_], groups: Groups, seed: int) -> Interval:
    """Return F1 with its bootstrap interval; whole groups of near-identical mail are drawn.

    Near copies are not independent evidence: drawing rows would make the interval too narrow.
    """
    cells = _cells([calls], labels)
    drawn = _resample(cells, groups, seed=seed)
    low, high = np.percentile(_f1(drawn[:, 1], drawn[:, 2], drawn[:, 3]), [_LOW, _HIGH])
    value = confusion(labels=labels, calls=calls).f1
    return Interval(value=value, low=float(low), high=float(high))


def f1_difference(
    *,
    labels: Labels,
    candidate: npt.NDArray[np.bool_],
    champion: npt.NDArray[np.bool_],
    groups: Groups,
    seed: int,
) -> Interval:
    """Return F1(candidate) - F1(champion) with its paired bootstrap interval.

    Both models are judged on the same draw each time, so mail that is hard for both cancels out.
    """
    cells = _cells([candidate, champion], labels)
    # A cell is candidate + 2 * champion + 4 * label, so each F1 sums over the other's calls.
    drawn = _resample(cells, groups, seed=seed).reshape(-1, 2, 2, 2)
    ours, theirs = drawn.sum(axis=2), drawn.sum(axis=3)
    delta = _f1(ours[:, 0, 1], ours[:, 1, 0], ours[:, 1, 1]) - _f1(theirs[:, 0, 1], theirs[:, 1, 0], theirs[:, 1, 1])
    low, high = np.percentile(delta, [_LOW, _HIGH])
    value = confusion(labels=labels, calls=candidate).f1 - confusion(labels=labels, calls=champion).f1
    return Interval(value=value, low=float(low), high=float(high))


def _resample(cells: Counts, groups: Groups, *, seed: int) -> Counts:
    """Return cell counts of RESAMPLES draws of as many groups as there are, with replacement.

    `cells` has shape (n, k), one 1 a row; the result has shape (RESAMPLES, k). Groups with equal
    counts are interchangeable, so the draw is one multinomial over the few distinct patterns:
    exact, and independent of how many mails there are.
    """
    _, place = np.unique(groups, return_inverse=True)
    summed = np.zeros((int(place.max()) + 1, cells.shape[1]), dtype=np.int64)
    np.add.at(summed, place, cells)
    patterns, times = np.unique(summed, axis=0, return_counts=True)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(int(times.sum()), times / times.sum(), size=RESAMPLES)
    counts: Counts = drawn @ patterns
    return counts


def _cells(calls: list[npt.NDArray[np.bool_]], labels: Labels) -> Counts:
    """Return one-hot rows, shape (n, 2 ** (models + 1)); the label is the highest bit."""
    index = labels.astype(np.int64) << len(calls)
    for bit, called in enumerate(calls):
        index |= called.astype(np.int64) << bit
    hot: Counts = np.eye(2 << len(calls), dtype=np.int64)[index]
    return hot


def _f1(fp: Counts, fn: Counts, tp: Counts) -> Probabilities:
    """Return F1 elementwise; 0 where it has no value."""
    bottom = 2 * tp + fp + fn
    result: Probabilities = np.where(bottom > 0, 2 * tp / np.maximum(bottom, 1), 0.0)
    return result


def _sweep(labels: Labels, probabilities: Probabilities) -> tuple[Counts, Counts, Probabilities]:
    """Return hits and calls at each distinct probability taken as threshold, from high to low."""
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    hits = np.cumsum(labels[order] == 1)[last]
    return hits, last + 1, ranked[last]


def _check(labels: Labels, probabilities: Probabilities) -> None:
    if labels.shape != probabilities.shape or labels.ndim != 1 or not len(labels):
        raise ValueError(
            f"labels {labels.shape} and probabilities {probabilities.shape} must be two equally long, non-empty vectors"
        )
    if not (np.isfinite(probabilities).all() and 0 <= probabilities.min() <= probabilities.max() <= 1):
        raise ValueError("probabilities must be numbers between 0 and 1")


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
