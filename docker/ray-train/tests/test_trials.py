from __future__ import annotations

from refit_ray_train import trials
from refit_ray_train.booster import Parameters, Point
from refit_ray_train.threshold import Figures
from refit_ray_train.trials import Ended, Trial


def _trial(number: int, *, f1: float = 0.9, log_loss: float = 0.1, ended: Ended = "converged") -> Trial:
    figures = Figures(f1=f1, precision=f1, recall=f1, auc=f1, log_loss=log_loss, threshold=0.5)
    return Trial(
        number=number,
        parameters=Parameters(),
        points=(Point(round=10, log_loss=log_loss, f1=f1),),
        rounds=10,
        figures=figures,
        ended=ended,
        seconds=1.5,
    )


def _lost(number: int) -> Trial:
    return Trial(
        number=number,
        parameters=Parameters(),
        points=(),
        rounds=0,
        figures=None,
        ended="failed",
        seconds=0.0,
    )


def test_f1_decides_then_log_loss_then_the_lower_number() -> None:
    """The best trial does not depend on the order in which trials end."""
    ended = [_trial(3, log_loss=0.1), _trial(1, log_loss=0.2), _trial(2, log_loss=0.1), _lost(0)]
    assert trials.best(ended) == ended[2]
    assert trials.best([*ended, _trial(9, f1=0.91, log_loss=0.5)]).number == 9  # type: ignore[union-attr]
    assert trials.best(reversed(ended)) == ended[2]


def test_without_a_report_there_is_no_best() -> None:
    """Trials that failed before their first report cannot win."""
    assert trials.best([_lost(0), _lost(1)]) is None
    assert trials.best([]) is None


def test_log_loss_decides_only_where_f1_is_equal() -> None:
    """The score of the search puts one mail more in F1 above any realistic log loss."""
    worse = _trial(0, f1=0.970, log_loss=0.05).figures
    same = _trial(1, f1=0.970, log_loss=0.04).figures
    better = _trial(2, f1=0.971, log_loss=0.60).figures
    assert worse and same and better  # noqa: PT018
    assert trials.score(worse) < trials.score(same) < trials.score(better)


def test_the_table_has_every_trial_by_number() -> None:
    """`trials.json` tells parameters, history and end of each trial, failed ones too."""
    table = trials.json_of([_trial(1, ended="stopped"), _lost(2), _trial(0)], best_trial=0)
    assert [row["trial"] for row in table["trials"]] == [0, 1, 2]
    assert [row["stopped_early"] for row in table["trials"]] == [False, True, False]
    assert table["trials"][1]["history"] == [{"round": 10, "log_loss": 0.1, "f1": 0.9}]
    assert table["trials"][1]["parameters"] == Parameters().json()
    assert "f1" not in table["trials"][2]
    assert table["best_trial"] == 0
