from __future__ import annotations

import numpy as np
import pytest

from refit_contract import BadInputError
from refit_ray_train import booster
from refit_ray_train.booster import Boosting, Parameters, Pool
from refit_ray_train.matrix import Matrix

SAMPLED = Parameters(subsample=0.7, colsample_bytree=0.3)


def _boosting(data: Matrix, *, pool: Pool | None = None, patience: int = 5) -> Boosting:
    return Boosting(
        parameters=SAMPLED,
        pool=pool or Pool(data, threads=1),
        seed=42,
        threads=1,
        patience=patience,
    )


def _refit(data: Matrix, *, seed: int = 42) -> bytes:
    return booster.refit(data, parameters=SAMPLED, rounds=8, seed=seed, threads=1)


def test_the_same_seed_gives_the_same_bytes(data: Matrix) -> None:
    """A model made again from recorded parameters is the same file; another seed is another."""
    assert _refit(data) == _refit(data)
    assert _refit(data) != _refit(data, seed=43)


def test_the_number_of_threads_does_not_change_the_model(data: Matrix) -> None:
    """The same mails give the same model on a machine with more CPUs."""
    one, two = (booster.refit(data, parameters=SAMPLED, rounds=8, seed=42, threads=threads) for threads in (1, 2))
    assert one == two


def test_boosters_of_one_process_do_not_disturb_each_other(data: Matrix) -> None:
    """A trial in a process that was used before, or beside another, comes out as if alone."""
    alone = booster.choose_rounds(_boosting(data))
    pool = Pool(data, threads=1)
    first, second = _boosting(data, pool=pool), _boosting(data, pool=pool)
    while not first.converged:
        first.grow()
        second.grow()
    assert first.fit() == second.fit() == alone


def test_the_best_round_has_the_lowest_log_loss(data: Matrix) -> None:
    """The rounds that are chosen, and the figures, are those of the lowest validation loss."""
    seen: list[booster.Point] = []
    fit = booster.choose_rounds(_boosting(data), on_point=seen.append)
    lowest = min(fit.points, key=lambda point: point.log_loss)
    assert (fit.rounds, fit.figures.log_loss) == (lowest.round, lowest.log_loss)
    assert fit.figures.f1 == pytest.approx(lowest.f1)
    assert tuple(seen) == fit.points


def test_growing_ends_when_patience_does(data: Matrix) -> None:
    """Early stopping really stops: exactly `patience` rounds after the best one."""
    fit = booster.choose_rounds(_boosting(data, patience=4))
    assert len(fit.points) == fit.rounds + 4 < booster.MAX_ROUNDS


def test_only_the_fit_part_is_learned_from(data: Matrix) -> None:
    """Other validation labels change what is judged, never a tree."""
    turned = Matrix(
        features=data.features,
        labels=np.where(data.fit, data.labels, 1 - data.labels).astype(np.float32),
        fit=data.fit,
    )
    one, other = _boosting(data), _boosting(turned)
    one.grow()
    point = other.grow()
    assert point.log_loss > one.points[0].log_loss
    assert one.trees() == other.trees()


def test_the_model_learns_from_all_of_train(data: Matrix) -> None:
    """What is handed over has seen the validation part too."""
    turned = Matrix(
        features=data.features,
        labels=np.where(data.fit, data.labels, 1 - data.labels).astype(np.float32),
        fit=data.fit,
    )
    assert _refit(data) != _refit(turned)


def test_a_booster_without_rounds_has_no_fit(data: Matrix) -> None:
    """Asking too early is an error, not a figure."""
    with pytest.raises(ValueError, match="without rounds"):
        _boosting(data).fit()


def test_unknown_parameters_are_refused() -> None:
    """A choice file of another version names what is accepted."""
    with pytest.raises(BadInputError, match="accepted are exactly max_depth"):
        Parameters.parse({"max_depth": 3, "eta": 0.1})
    assert Parameters.parse(SAMPLED.json()) == SAMPLED
