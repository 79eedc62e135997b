"""A search for XGBoost parameters without Ray: Optuna, and the early stopping of Ray's ASHA.

It has what the tune stage has: the space, the seeded sampler, the first trial, a report every
ten rounds, the score, and the rule by which a trial is stopped. Trials that run at the same time
are threads: XGBoost leaves Python's lock alone while it works.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
import optuna

from refit_ray_train.booster import MAX_ROUNDS, Boosting, Fit, Parameters, Pool
from refit_ray_train.matrix import Matrix
from refit_ray_train.search import GRACE, REPORT_EVERY, space
from refit_ray_train.trials import score


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One trial: its parameters, its best round, and whether it was stopped early."""

    number: int
    parameters: Parameters
    fit: Fit
    stopped: bool


@dataclass
class Halving:
    """ASHA: after 100 rounds, and each time they have doubled, the better half of those so far goes on."""

    rungs: dict[int, list[float]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def stops(self, *, rounds: int, value: float) -> bool:
        """Return whether the trial that reports `value` after `rounds` rounds is ended."""
        if rounds not in (GRACE, 2 * GRACE):
            return False
        with self.lock:
            seen = self.rungs.setdefault(rounds, [])
            bad = bool(seen) and value < float(np.nanpercentile(seen, 50))
            seen.append(value)
        return bad


def search(data: Matrix, *, trials: int, at_once: int, threads: int, seed: int) -> list[Tried]:
    """Return `trials` trials on `data`, `at_once` of them at a time, each with `threads` threads."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pool, halving, tried = Pool(data, threads=threads), Halving(), list[Tried]()
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=6))
    study.enqueue_trial(Parameters().json())
    distributions = space()

    def one() -> None:
        asked = study.ask(distributions)
        parameters = Parameters.parse(asked.params)
        boosting, stopped = Boosting(parameters=parameters, pool=pool, seed=seed, threads=threads), False
        while len(boosting.points) < MAX_ROUNDS and not (boosting.converged or stopped):
            boosting.grow()
            if len(boosting.points) % REPORT_EVERY == 0:
                stopped = halving.stops(rounds=len(boosting.points), value=score(boosting.fit().figures))
        fit = boosting.fit()
        study.tell(asked, score(fit.figures))
        tried.append(Tried(number=asked.number, parameters=parameters, fit=fit, stopped=stopped))

    left = iter(range(trials))

    def work() -> None:
        for _ in left:
            one()

    workers = [threading.Thread(target=work) for _ in range(at_once)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return tried


def best(tried: list[Tried]) -> Tried:
    """Return the trial that the tune stage would choose."""
    return max(tried, key=lambda t: (t.fit.figures.f1, -t.fit.figures.log_loss, -t.number))
