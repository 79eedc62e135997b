from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from refit_ray_train import threshold


def _sample(seed: int, *, levels: int) -> tuple[threshold.Values, threshold.Values]:
    random = np.random.default_rng(seed)
    labels = (random.random(200) < 0.3).astype(np.float32)
    noise = random.normal(labels, 1.0)
    return labels, np.round(1 / (1 + np.exp(-noise)) * levels).astype(np.float32) / levels


@pytest.mark.parametrize("levels", [5, 40, 100_000])
def test_no_other_threshold_has_a_higher_f1(levels: int) -> None:
    """The choice is as good as the best of all thresholds, also when probabilities are equal."""
    labels, probabilities = _sample(levels, levels=levels)
    figures = threshold.judge(labels=labels, probabilities=probabilities)
    tried = [metrics.f1_score(labels, probabilities >= t) for t in [*np.unique(probabilities), 0.5]]
    assert figures.f1 == pytest.approx(max(tried))
    assert threshold.best_f1(labels=labels, probabilities=probabilities) == pytest.approx(max(tried))


@pytest.mark.parametrize("levels", [5, 40, 100_000])
def test_figures_are_those_of_scikit_learn(levels: int) -> None:
    """Every figure equals that of an independent implementation at the same threshold."""
    labels, probabilities = _sample(levels, levels=levels)
    figures = threshold.judge(labels=labels, probabilities=probabilities)
    said = probabilities >= figures.threshold
    inner = np.clip(probabilities.astype(np.float64), 1e-15, 1 - 1e-15)
    assert figures.f1 == pytest.approx(metrics.f1_score(labels, said))
    assert figures.precision == pytest.approx(metrics.precision_score(labels, said))
    assert figures.recall == pytest.approx(metrics.recall_score(labels, said))
    assert figures.auc == pytest.approx(metrics.roc_auc_score(labels, probabilities))
    assert figures.log_loss == pytest.approx(metrics.log_loss(labels, inner))


@pytest.mark.parametrize(
    ("labels", "probabilities", "want"),
    [
        ([1, 1, 0, 0], [0.9, 0.7, 0.3, 0.1], 0.5),
        ([1, 0, 1, 0], [0.9, 0.9, 0.9, 0.1], 0.5),
        ([1, 1, 1, 0], [0.8, 0.6, 0.4, 0.9], 0.2),
    ],
    ids=["between the classes", "equal probabilities stay together", "all spam"],
)
def test_the_threshold_is_in_the_middle_of_its_interval(
    labels: list[int], probabilities: list[float], want: float
) -> None:
    """It is as far as can be from the mails on either side, and not on one of them."""
    chosen = threshold.choose(labels=np.array(labels), probabilities=np.array(probabilities))
    assert chosen == pytest.approx(want)


def test_of_equal_choices_the_widest_interval_counts() -> None:
    """F1 is 2/3 with one, two or four mails as spam; the widest gap lies below the second one."""
    labels = np.array([1, 0, 1, 0, 0, 0])
    probabilities = np.array([0.95, 0.9, 0.85, 0.3, 0.2, 0.1])
    chosen = threshold.choose(labels=labels, probabilities=probabilities)
    assert chosen == pytest.approx((0.85 + 0.3) / 2)
