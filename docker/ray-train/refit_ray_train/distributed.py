"""The baseline's fit through Ray Train: the driver's side and each worker's."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import ray
import ray.train
from ray.train.v2.api.config import LoggingConfig
from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

from refit_contract import RayUnavailableError
from refit_ray_train import booster
from refit_ray_train.matrix import Matrix

# It imports XGBoost, which `booster` must have imported first: see `lean`.
xgboost_api: Any = importlib.import_module("ray.train.xgboost")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the workers fit, with how many threads each, for how many CPUs of the cluster each."""

    parameters: booster.Parameters
    seed: int
    threads: int
    cpus: float


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """The chosen fit, and the model that was then grown on all of train (UBJSON)."""

    fit: booster.Fit
    model: bytes


class _Trainer(xgboost_api.XGBoostTrainer):  # type: ignore[misc]
    """Ray's trainer without two processes of its own.

    One hands out Ray's datasets, of which there are none here. The other frees what a controller
    leaves that dies alone; here the job ends with its controller, and Ray frees all of a job.
    """

    def _create_default_callbacks(self) -> list[Any]:
        needless = {"DatasetsCallback", "PlacementGroupCleanerCallback"}
        return [one for one in super()._create_default_callbacks() if type(one).__name__ not in needless]


def train(task: Task, data: Matrix, *, workers: int, name: str, storage: Path) -> Baseline:
    """Return what `workers` workers of the connected cluster made of `task` together.

    With one worker the result is the same byte for byte each time. More workers each quantise
    their own rows, so their histograms have other bins: the predictions stay near, not equal.
    A lost worker restarts the fit once. Raises RayUnavailableError when the cluster cannot run
    the workers, or loses them again.
    """
    # The annotations of this release still describe the trainer of the one before.
    api: Any = ray.train
    trainer = _Trainer(
        _loop,
        train_loop_config={"task": task, "matrix": ray.put(data)},
        scaling_config=api.ScalingConfig(num_workers=workers, resources_per_worker={"CPU": task.cpus}),
        run_config=api.RunConfig(
            name=name,
            storage_path=str(storage),
            failure_config=api.FailureConfig(max_failures=1, controller_failure_limit=1),
            logging_config=LoggingConfig(log_level="ERROR"),
        ),
    )
    try:
        baseline: Baseline = trainer.fit().return_value
    except (ControllerError, ray.exceptions.RayError) as err:
        raise RayUnavailableError(f"Ray could not run {workers} workers: {err}") from err
    except WorkerGroupError as err:
        _raise(err)
    return baseline


def _raise(err: WorkerGroupError) -> NoReturn:
    lost = [f for f in err.worker_failures.values() if isinstance(f, ray.exceptions.RayError)]
    if lost:
        raise RayUnavailableError(f"Ray lost workers twice: {lost[0]}") from err
    raise err


def _loop(config: dict[str, Any]) -> Baseline:
    """Choose the rounds on this worker's share of the rows, then grow the model on all of train.

    XGBoost's collective, which Ray Train has set up, sums the gradient histograms of all workers:
    each holds the same trees, and what the first one returns is the result.
    """
    task: Task = config["task"]
    context = ray.train.get_context()
    share = booster.Share(rank=context.get_world_rank(), of=context.get_world_size())
    data: Matrix = ray.get(config["matrix"])
    fit = booster.choose_rounds(
        booster.Boosting(
            parameters=task.parameters,
            pool=booster.Pool(data, threads=task.threads, share=share),
            seed=task.seed,
            threads=task.threads,
        )
    )
    model = booster.refit(
        data,
        parameters=task.parameters,
        rounds=fit.rounds,
        seed=task.seed,
        threads=task.threads,
        share=share,
    )
    return Baseline(fit=fit, model=model)
