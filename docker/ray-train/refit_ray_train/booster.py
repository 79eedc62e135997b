"""The one place where XGBoost is fitted, for train and tune alike.

A booster grows round by round on the fit part and is watched on the validation part: its best
round is the one with the lowest log loss there. What is handed over is then grown anew on all of
train, for that many rounds. Equal parameters, seed and rows give the same model, byte for byte.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from refit_contract import FEATURES, BadInputError, lean
from refit_ray_train import threshold
from refit_ray_train.matrix import Matrix

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import xgboost

lean.xgboost()

MAX_ROUNDS: Final = 400
"""No booster grows for longer."""

PATIENCE: Final = 30
"""A booster has converged when its log loss has not fallen for this many rounds."""

_MAX_BIN: Final = 64
"""Histogram bins for each feature: half the time of the usual 256, and no worse on mail."""


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """What may be tuned, by XGBoost's own names; the defaults are the baseline's."""

    max_depth: int = 6
    learning_rate: float = 0.1
    min_child_weight: float = 1.0
    subsample: float = 1.0
    colsample_bytree: float = 0.5
    reg_lambda: float = 1.0
    gamma: float = 0.0

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Self:
        """Return the parameters in `value`.

        Raises BadInputError listing the names when one is missing or not known.
        """
        names = list(cls.__dataclass_fields__)
        if set(value) != set(names):
            raise BadInputError(
                f"the booster parameters are {', '.join(sorted(value))}; accepted are exactly {', '.join(names)}"
            )
        return cls(**value)

    def json(self) -> dict[str, float]:
        """Return the fields by name."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Point:
    """What validation says of a booster of `round` rounds, counted from 1."""

    round: int
    log_loss: float
    f1: float

    def json(self) -> dict[str, float]:
        """Return the fields by name."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Share:
    """The part of the rows that one of several workers fits: each `of`-th row from `rank` on."""

    rank: int = 0
    of: int = 1


WHOLE: Final = Share()
"""The share of a worker that is alone."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What choosing came to: the best round, its figures on validation, and every round's point."""

    rounds: int
    figures: threshold.Figures
    points: tuple[Point, ...]


class Boosting:
    """A booster that grows on the fit part; each worker of several grows its own equal copy."""

    def __init__(
        self, *, parameters: Parameters, pool: Pool, seed: int, threads: int, patience: int = PATIENCE
    ) -> None:
        """Start with no rounds, on the rows of `pool`."""
        self._pool, self._patience = pool, patience
        self._booster = _booster(parameters, seed=seed, threads=threads, cache=[pool.fit, pool.validation])
        self._points: list[Point] = []
        self._best: Point | None = None
        self._probabilities: threshold.Values = np.empty(0)

    @property
    def points(self) -> tuple[Point, ...]:
        """One point for each round so far."""
        return tuple(self._points)

    @property
    def converged(self) -> bool:
        """Whether the log loss has not fallen for the rounds that patience allows."""
        return self._best is not None and len(self._points) - self._best.round >= self._patience

    def grow(self) -> Point:
        """Add one round and return what validation says of it."""
        self._booster.update(self._pool.fit, len(self._points))
        probabilities = self._booster.predict(self._pool.validation)
        labels = self._pool.labels
        point = Point(
            round=len(self._points) + 1,
            log_loss=threshold.log_loss(labels=labels, probabilities=probabilities),
            f1=threshold.best_f1(labels=labels, probabilities=probabilities),
        )
        self._points.append(point)
        if self._best is None or point.log_loss < self._best.log_loss:
            self._best, self._probabilities = point, probabilities
        return point

    def trees(self) -> list[str]:
        """Return the trees so far, each as text."""
        return list(self._booster.get_dump())

    def fit(self) -> Fit:
        """Return the best round so far, with its figures. Call after the first round."""
        if self._best is None:
            raise ValueError("a booster without rounds has no best one")
        figures = threshold.judge(labels=self._pool.labels, probabilities=self._probabilities)
        return Fit(rounds=self._best.round, figures=figures, points=self.points)


class Pool:
    """The rows of a matrix in the form that XGBoost reads; serves any number of boosters."""

    def __init__(self, matrix: Matrix, *, threads: int, share: Share = WHOLE) -> None:
        """Quantise the `share` of the fit part, and all of the validation part."""
        import xgboost

        self.fit = _quantised(matrix, np.flatnonzero(matrix.fit), share, threads)
        self.labels = matrix.validation_labels
        # Every worker judges on the whole validation part, so that all stop at the same round.
        self.validation = xgboost.DMatrix(matrix.features[~matrix.fit], feature_names=list(FEATURES), nthread=threads)


def choose_rounds(boosting: Boosting, *, on_point: Callable[[Point], None] | None = None) -> Fit:
    """Grow `boosting` until it has converged or has MAX_ROUNDS, and return its best round.

    `on_point` is called after every round.
    """
    while len(boosting.points) < MAX_ROUNDS and not boosting.converged:
        point = boosting.grow()
        if on_point:
            on_point(point)
    return boosting.fit()


def refit(
    matrix: Matrix,
    *,
    parameters: Parameters,
    rounds: int,
    seed: int,
    threads: int,
    share: Share = WHOLE,
) -> bytes:
    """Return a model grown for `rounds` rounds on all of train, in XGBoost's UBJSON."""
    data = _quantised(matrix, np.arange(matrix.rows), share, threads)
    booster = _booster(parameters, seed=seed, threads=threads, cache=[data])
    for number in range(rounds):
        booster.update(data, number)
    return bytes(booster.save_raw("ubj"))


def _booster(parameters: Parameters, *, seed: int, threads: int, cache: list[xgboost.DMatrix]) -> xgboost.Booster:
    import xgboost

    return xgboost.Booster(
        {
            **parameters.json(),
            "objective": "binary:logistic",
            "tree_method": "hist",
            "max_bin": _MAX_BIN,
            "nthread": threads,
            "seed": seed,
            # Each round draws from (seed, round) alone, whatever else this process draws.
            "seed_per_iteration": True,
            "verbosity": 1,
        },
        cache=cache,
    )


def _quantised(matrix: Matrix, rows: np.ndarray[Any, np.dtype[np.intp]], share: Share, threads: int) -> xgboost.DMatrix:
    import xgboost

    mine = rows[share.rank :: share.of]
    return xgboost.QuantileDMatrix(
        matrix.features[mine],
        label=matrix.labels[mine],
        feature_names=list(FEATURES),
        max_bin=_MAX_BIN,
        nthread=threads,
    )
