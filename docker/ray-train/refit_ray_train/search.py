"""The search for better parameters through Ray Tune: the driver's side and each trial's."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from refit_ray_train import booster
from refit_ray_train.booster import MAX_ROUNDS, Parameters, Point
from refit_ray_train.matrix import Matrix
from refit_ray_train.threshold import Figures
from refit_ray_train.trials import Ended, Trial, score

if TYPE_CHECKING:
    from ray.tune.experiment import Trial as RayTrial

REPORT_EVERY: Final = 10
"""Rounds between two reports of a trial."""

GRACE: Final = 100
"""Rounds that every trial gets; the scheduler looks again each time they have doubled.

An earlier look ends slow learners that would have come out best.
"""


_CREDENTIALS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How to search: how many trials, how many at a time, with how many threads each.

    After `grace` rounds, and each time they have doubled, a trial goes on when it is in the better
    half of those that came so far.
    """

    trials: int
    at_once: int
    threads: int
    seed: int
    first: Parameters
    grace: int


def run(plan: Plan, data: Matrix, *, name: str, storage: Path, on_end: Callable[[Trial], None]) -> list[Trial]:
    """Return the trials of `plan` on the connected cluster, in their order of end.

    Trial 0 has the parameters `plan.first`. `on_end` is called with each trial as it ends. The
    suggestions are seeded, yet depend on which trial ends first: two searches may differ.
    """
    # It warns of result files that are not there because nobody writes them.
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    watcher = _Watcher(on_end)
    trainable = tune.with_parameters(_BoosterTrial, data=data, seed=plan.seed, threads=plan.threads)
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": plan.threads}),
        tune_config=tune.TuneConfig(
            metric="score",
            mode="max",
            num_samples=plan.trials,
            max_concurrent_trials=plan.at_once,
            search_alg=_search(plan),
            scheduler=ASHAScheduler(
                time_attr="round",
                max_t=MAX_ROUNDS,
                grace_period=plan.grace,
                reduction_factor=2,
            ),
            # Safe: a trial leaves nothing in its process but the quantised rows, which it only reads.
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=str(storage),
            callbacks=[watcher],
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        ),
    )
    with _without_credentials():
        tuner.fit()
    return watcher.ended


@contextmanager
def _without_credentials() -> Iterator[None]:
    """Keep the store's keys from Tune, which puts them into the trials' environment, for all to see.

    Trials use no store. Ray's dashboard and logs show that environment.
    """
    kept = {name: os.environ.pop(name) for name in _CREDENTIALS if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def space() -> dict[str, Any]:
    """Return the Optuna distribution of each parameter."""
    from optuna.distributions import FloatDistribution, IntDistribution

    return {
        "max_depth": IntDistribution(3, 10),
        "learning_rate": FloatDistribution(0.05, 0.3, log=True),
        "min_child_weight": FloatDistribution(0.3, 10, log=True),
        "subsample": FloatDistribution(0.5, 1),
        "colsample_bytree": FloatDistribution(0.1, 1),
        "reg_lambda": FloatDistribution(0.1, 10, log=True),
        "gamma": FloatDistribution(0, 1),
    }


def _search(plan: Plan) -> OptunaSearch:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return OptunaSearch(
        space=space(),
        metric="score",
        mode="max",
        points_to_evaluate=[plan.first.json()],
        sampler=optuna.samplers.TPESampler(seed=plan.seed, n_startup_trials=6),
    )


class _BoosterTrial(tune.Trainable):
    """A trial in its own process: each step grows the booster to its next report."""

    def setup(self, config: dict[str, Any], **given: Any) -> None:
        self._seed, self._threads = given["seed"], given["threads"]
        self._pool = booster.Pool(given["data"], threads=self._threads)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._boosting = booster.Boosting(
            parameters=Parameters.parse(new_config),
            pool=self._pool,
            seed=self._seed,
            threads=self._threads,
        )
        return True

    def step(self) -> dict[str, Any]:
        point = self._boosting.grow()
        while point.round % REPORT_EVERY and not self._boosting.converged:
            point = self._boosting.grow()
        fit = self._boosting.fit()
        ended = self._ended(point)
        return {
            **point.json(),
            "score": score(fit.figures),
            "best": {"rounds": fit.rounds, "figures": fit.figures.json()},
            "ended": ended,
            "done": bool(ended),
        }

    def _ended(self, point: Point) -> str:
        if self._boosting.converged:
            return "converged"
        return "max_rounds" if point.round >= MAX_ROUNDS else ""


@dataclass(kw_only=True)
class _Going:
    """A trial on its way."""

    number: int
    parameters: Parameters
    points: list[Point] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def report(self, result: dict[str, Any]) -> None:
        self.last = result
        self.points.append(Point(**{name: result[name] for name in Point.__dataclass_fields__}))

    def end(self, *, failed: bool) -> Trial:
        ended: Ended = "failed" if failed else self.last.get("ended") or "stopped"
        best = self.last.get("best")
        return Trial(
            number=self.number,
            parameters=self.parameters,
            points=tuple(self.points),
            rounds=best["rounds"] if best else 0,
            figures=Figures(**best["figures"]) if best else None,
            ended=ended,
            seconds=time.monotonic() - self.began,
        )


class _Watcher(tune.Callback):
    """Gathers what the trials report, in the driver."""

    def __init__(self, on_end: Callable[[Trial], None]) -> None:
        self.ended: list[Trial] = []
        self._on_end = on_end
        self._going: dict[str, _Going] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Tune saves its callbacks so that a search can be resumed; this one never is.
        return {}

    def on_trial_start(self, *_: Any, **info: Any) -> None:
        trial: RayTrial = info["trial"]
        if trial.trial_id not in self._going:
            parameters = Parameters.parse(trial.config)
            number = info["trials"].index(trial)
            self._going[trial.trial_id] = _Going(number=number, parameters=parameters)

    def on_trial_result(self, *_: Any, **info: Any) -> None:
        self._going[info["trial"].trial_id].report(info["result"])

    def on_trial_complete(self, *_: Any, **info: Any) -> None:
        self._end(info["trial"], failed=False)

    def on_trial_error(self, *_: Any, **info: Any) -> None:
        self._end(info["trial"], failed=True)

    def _end(self, trial: RayTrial, *, failed: bool) -> None:
        ended = self._going[trial.trial_id].end(failed=failed)
        self.ended.append(ended)
        self._on_end(ended)
