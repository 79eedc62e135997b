"""Figures and intervals, checked against scikit-learn and against plain loops."""

from __future__ import annotations

import time

import numpy as np
import pytest
from sklearn import metrics

from refit_mlflow_ops import measures


def sample(*, rows: int, seed: int = 0, ties: bool = False) -> tuple[measures.Labels, measures.Probabilities]:
    """Return labels and probabilities that know something about them."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(rows) < 0.3).astype(np.int8)
    probabilities = np.clip(rng.normal(0.3 + 0.4 * labels, 0.2), 0, 1)
    return labels, np.round(probabilities, 1) if ties else probabilities


def singles(rows: int) -> measures.Groups:
    """Return groups of one mail each."""
    return np.arange(rows).astype(str)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.73])
def test_figures_are_those_of_scikit_learn(ties: bool, threshold: float) -> None:
    """Every figure equals the reference implementation's, with and without tied probabilities."""
    labels, probabilities = sample(rows=500, ties=ties)
    got = measures.measure(labels=labels, probabilities=probabilities, threshold=threshold)
    calls = probabilities >= threshold
    tn, fp, fn, tp = metrics.confusion_matrix(labels, calls).ravel()
    assert got.confusion == measures.Confusion(tp=tp, fp=fp, tn=tn, fn=fn)
    assert got.confusion.f1 == pytest.approx(metrics.f1_score(labels, calls))
    assert got.confusion.precision == pytest.approx(metrics.precision_score(labels, calls))
    assert got.confusion.recall == pytest.approx(metrics.recall_score(labels, calls))
    assert got.auc == pytest.approx(metrics.roc_auc_score(labels, probabilities))
    assert got.pr_auc == pytest.approx(metrics.average_precision_score(labels, probabilities))
    assert got.log_loss == pytest.approx(metrics.log_loss(labels, probabilities), rel=1e-6)
    assert got.brier == pytest.approx(metrics.brier_score_loss(labels, probabilities))


def test_a_set_without_spam_has_no_areas() -> None:
    """One class only: F1 is 0 and the areas are None instead of a made-up number."""
    got = measures.measure(labels=np.zeros(3, dtype=np.int8), probabilities=np.array([0.1, 0.2, 0.9]), threshold=0.5)
    assert (got.auc, got.pr_auc, got.confusion.f1) == (None, None, 0.0)


@pytest.mark.parametrize("wrong", [np.array([0.1, np.nan]), np.array([0.1, 1.1]), np.array([0.1])])
def test_numbers_that_are_no_probabilities_are_refused(wrong: measures.Probabilities) -> None:
    """NaN, values beyond 1 and vectors of another length never become a figure."""
    with pytest.raises(ValueError, match="probabilities"):
        measures.measure(labels=np.array([0, 1], dtype=np.int8), probabilities=wrong, threshold=0.5)


def test_calibration_of_a_perfectly_honest_model_is_near_zero() -> None:
    """Labels drawn with the promised probability give a small error; a constant lie a large one."""
    rng = np.random.default_rng(1)
    promised = rng.random(20_000)
    labels = (rng.random(20_000) < promised).astype(np.int8)
    honest = measures.calibration(labels=labels, probabilities=promised)
    lying = measures.calibration(labels=labels, probabilities=np.full(20_000, 0.95))
    assert len(honest) == 10
    assert sum(b.rows for b in honest) == 20_000
    assert measures.expected_calibration_error(honest, rows=20_000) < 0.02
    assert measures.expected_calibration_error(lying, rows=20_000) == pytest.approx(0.45, abs=0.02)


def test_a_probability_of_one_falls_into_the_last_bin() -> None:
    """The upper edge belongs to the last bin."""
    got = measures.calibration(labels=np.array([1], dtype=np.int8), probabilities=np.array([1.0]))
    assert got == [measures.Bin(rows=1, mean_probability=1.0, spam_share=1.0)]


def test_the_bootstrap_is_the_row_by_row_one() -> None:
    """The multinomial over patterns has the spread of a plain loop that draws rows."""
    labels, probabilities = sample(rows=400)
    calls = probabilities >= 0.5
    got = measures.f1_interval(labels=labels, calls=calls, groups=singles(400), seed=1)
    rng = np.random.default_rng(2)
    rows = rng.integers(400, size=(2000, 400))
    plain = [metrics.f1_score(labels[r], calls[r]) for r in rows[:600]]
    low, high = np.percentile(plain, [2.5, 97.5])
    assert got.low == pytest.approx(low, abs=0.01)
    assert got.high == pytest.approx(high, abs=0.01)
    assert got.low < got.value < got.high


def test_the_bootstrap_is_a_function_of_its_seed() -> None:
    """The same seed gives the same interval, another seed another one."""
    labels, probabilities = sample(rows=300)

    def interval(seed: int) -> measures.Interval:
        return measures.f1_interval(labels=labels, calls=probabilities >= 0.5, groups=singles(300), seed=seed)

    assert interval(7) == interval(7)
    assert interval(7) != interval(8)


def test_copies_of_a_mail_do_not_make_the_interval_narrower() -> None:
    """Each mail four times, in one group: the interval stays as wide as with each mail once."""
    labels, probabilities = sample(rows=300)
    once = measures.f1_interval(labels=labels, calls=probabilities >= 0.5, groups=singles(300), seed=3)
    grouped = measures.f1_interval(
        labels=np.repeat(labels, 4),
        calls=np.repeat(probabilities >= 0.5, 4),
        groups=np.repeat(np.arange(300), 4).astype(str),
        seed=3,
    )
    assert grouped.high - grouped.low == pytest.approx(once.high - once.low, rel=0.1)


def test_the_paired_difference_is_the_difference_of_both_f1() -> None:
    """The value is exact, and swapping the two models mirrors it."""
    labels, ours = sample(rows=500)
    _, theirs = sample(rows=500, seed=0, ties=True)
    theirs = np.clip(theirs + np.random.default_rng(5).normal(0, 0.2, 500), 0, 1)

    def difference(a: measures.Probabilities, b: measures.Probabilities) -> measures.Interval:
        return measures.f1_difference(labels=labels, candidate=a >= 0.5, champion=b >= 0.5, groups=singles(500), seed=4)

    got = difference(ours, theirs)
    want = metrics.f1_score(labels, ours >= 0.5) - metrics.f1_score(labels, theirs >= 0.5)
    assert got.value == pytest.approx(want)
    assert difference(theirs, ours).value == pytest.approx(-want)
    assert got.low < got.value < got.high


def test_a_model_does_not_differ_from_itself() -> None:
    """Paired: the interval of a model against itself is exactly zero, not merely around it."""
    labels, probabilities = sample(rows=200)
    calls = probabilities >= 0.5
    got = measures.f1_difference(labels=labels, candidate=calls, champion=calls, groups=singles(200), seed=1)
    assert got == measures.Interval(value=0.0, low=0.0, high=0.0)


def test_a_million_mails_are_judged_in_seconds() -> None:
    """Intervals cost memory and time by the number of patterns, not by mails times draws."""
    labels, probabilities = sample(rows=1_000_000)
    started = time.process_time()
    measures.f1_interval(labels=labels, calls=probabilities >= 0.5, groups=singles(1_000_000), seed=1)
    assert time.process_time() - started < 30
