"""What the trials of a search came to, and which one is best."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from refit_ray_train.booster import MAX_ROUNDS, Parameters, Point
from refit_ray_train.threshold import Figures

Ended = Literal["converged", "max_rounds", "stopped", "failed"]
"""How a trial ended: by itself in one of two ways, by the scheduler, or by an error."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial: what it tried, what validation said on the way, and its best round.

    `points` are the reported rounds. `figures` belong to the round with the lowest log loss,
    `rounds`; a trial that failed before its first report has neither (None and 0).
    """

    number: int
    parameters: Parameters
    points: tuple[Point, ...]
    rounds: int
    figures: Figures | None
    ended: Ended
    seconds: float

    @property
    def stopped_early(self) -> bool:
        """Whether the scheduler ended the trial before its last round."""
        return self.ended == "stopped"

    def json(self) -> dict[str, Any]:
        """Return the trial as in `trials.json`."""
        return {
            "trial": self.number,
            "parameters": self.parameters.json(),
            "history": [point.json() for point in self.points],
            "rounds": self.rounds,
            **(self.figures.json() if self.figures else {}),
            "ended": self.ended,
            "stopped_early": self.stopped_early,
            "seconds": round(self.seconds, 3),
        }


def best(trials: Iterable[Trial]) -> Trial | None:
    """Return the trial with the highest F1, then the lowest log loss, then the lowest number.

    None when no trial got as far as a report.
    """
    judged = [(trial, trial.figures) for trial in trials if trial.figures]
    if not judged:
        return None
    return max(judged, key=lambda pair: (pair[1].f1, -pair[1].log_loss, -pair[0].number))[0]


def score(figures: Figures) -> float:
    """Return the one number that scheduler and search maximise: F1, and log loss where F1 is equal.

    A thousandth of the log loss is less than one mail more or less is worth in F1.
    """
    return figures.f1 - figures.log_loss / 1000


def json_of(trials: Sequence[Trial], *, best_trial: int) -> dict[str, Any]:
    """Return the content of `trials.json`."""
    return {
        "metric": "f1",
        "max_rounds": MAX_ROUNDS,
        "best_trial": best_trial,
        "trials": [trial.json() for trial in sorted(trials, key=lambda t: t.number)],
    }
