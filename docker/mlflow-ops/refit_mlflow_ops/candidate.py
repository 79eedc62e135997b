"""What the train and tune stages handed over, and which of the two is judged."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refit_contract import FEATURES, BadInputError, lean
from refit_mlflow_ops import measures

if TYPE_CHECKING:
    import xgboost

lean.xgboost()


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A fitted model with the decisions that validation made for it.

    `f1` and `log_loss` are figures of the validation part of train; `threshold` was chosen there.
    """

    name: str
    model: Path
    threshold: float
    f1: float
    log_loss: float
    choice: Mapping[str, Any]

    @classmethod
    def read(cls, *, name: str, model: Path, choice: Path) -> Candidate:
        """Return the candidate `name` from its booster and its choice file.

        Raises BadInputError naming the file when the choice lacks a field.
        """
        content = json.loads(choice.read_text(encoding="utf-8"))
        try:
            figures = content["validation"]
            return cls(
                name=name,
                model=model,
                threshold=float(content["threshold"]),
                f1=float(figures["f1"]),
                log_loss=float(figures["log_loss"]),
                choice=content,
            )
        except KeyError as err:
            raise BadInputError(f"the choice of {name} has no field {err}; train again") from err

    def booster(self, *, threads: int) -> xgboost.Booster:
        """Load the booster, which predicts with `threads` threads."""
        import xgboost

        booster = xgboost.Booster(model_file=str(self.model))
        booster.set_param({"nthread": threads})
        return booster


def pick(baseline: Candidate, tuned: Candidate) -> tuple[Candidate, Candidate]:
    """Return the winner of the validation, then the other.

    The higher F1 wins, then the lower log loss, then the baseline, which is the simpler one.
    """
    if (tuned.f1, -tuned.log_loss) > (baseline.f1, -baseline.log_loss):
        return tuned, baseline
    return baseline, tuned


def gains(booster: xgboost.Booster, *, titles: Sequence[str]) -> dict[str, float]:
    """Return the total gain of each feature by its title; `titles` are in column order.

    A feature in no split has gain 0.
    """
    scores = booster.get_score(importance_type="total_gain")
    # A booster fitted without names calls its columns f0, f1, …
    return {
        title: float(_single(scores.get(name, scores.get(f"f{i}", 0.0))))
        for i, (name, title) in enumerate(zip(FEATURES, titles, strict=True))
    }


def predict(booster: xgboost.Booster, features: Any) -> measures.Probabilities:
    """Return the probability of spam, shape (n,), for float32 `features` of shape (n, 524)."""
    probabilities: measures.Probabilities = booster.inplace_predict(features, validate_features=False).astype("float64")
    return probabilities


def _single(value: float | list[float]) -> float:
    return sum(value) if isinstance(value, list) else value
