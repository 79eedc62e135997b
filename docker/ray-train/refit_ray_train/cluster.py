"""The Ray cluster that the stages work on: a head that is already running."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import refit_contract
import refit_ray_train
from refit_contract import Context, RayUnavailableError, Spec, wait_for

INHERITED: Final = "REFIT_RAY_INHERITED"
"""Set to 1 beside RAY_ADDRESS when the head's own environment is all that workers need."""

_PATIENCE: Final = timedelta(minutes=2)

_SETTINGS: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # A fit takes seconds: two seconds between looks at it would be most of the stage.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",
    # One more process to start, to save a fit that is quicker than its own restart.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    # Results reach the driver by callback; their log files would only be deleted again.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "RAY_AIR_NEW_OUTPUT": "0",
}


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster as this driver found it: its CPUs now, and a folder for what Ray writes."""

    cpus: int
    storage: Path

    def threads(self, *, of: int, budget: int) -> int:
        """Return the threads for each of `of` workers on machines with `budget` threads, at least 1."""
        return max(1, min(budget, self.cpus // of))

    def request(self, *, of: int, threads: int) -> float:
        """Return the CPUs that each of `of` workers asks for, so that all of them run at once.

        More workers than CPUs get a part of one each: they are slow, yet never wait in vain.
        """
        return float(threads) if threads * of <= self.cpus else math.floor(self.cpus / of * 1000) / 1000


@contextmanager
def connected(spec: Spec, context: Context) -> Iterator[Cluster]:
    """Connect to the cluster at RAY_ADDRESS for the length of the block.

    Ray's own files for results go to the attempt's scratch folder. When the process dies inside
    the block, the cluster ends everything that the block started there. Raises
    RayUnavailableError when the variable is unset or the cluster does not let this driver in
    within two minutes or until the spec's deadline.
    """
    address = _address(deadline=spec.deadline)
    _settle(os.environ, deadline=spec.deadline)
    import ray
    from ray.job_config import JobConfig

    job = JobConfig(metadata={"refit_run": spec.run, "refit_stage": spec.stage})
    try:
        ray.init(
            address=address,
            namespace=spec.run,
            job_config=job,
            runtime_env=_runtime_env(),
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
    except (ConnectionError, RuntimeError, ray.exceptions.RayError) as err:
        raise RayUnavailableError(f"cannot join the Ray cluster at {address}: {err}") from err
    try:
        storage = context.scratch / "ray"
        storage.mkdir(exist_ok=True)
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        cpus = max(1, int(resources.get("CPU", 0)))
        context.log.info("joined the Ray cluster at %s with %d CPUs", address, cpus)
        yield Cluster(cpus=cpus, storage=storage)
    finally:
        ray.shutdown()


def _address(*, deadline: datetime) -> str:
    address = os.environ.get("RAY_ADDRESS", "")
    if not address or address == "local":
        raise RayUnavailableError(f"RAY_ADDRESS is {address!r}; accepted is host:port of a running Ray head")
    if address != "auto" and "://" not in address:
        wait_for(f"tcp://{address}", deadline=deadline, error=RayUnavailableError, at_most=_PATIENCE)
    return address


def _settle(env: MutableMapping[str, str], *, deadline: datetime) -> None:
    # Another run may have the CPUs for as long as it likes: that is waited for, up to the deadline.
    seconds = max(1, int((deadline - datetime.now(UTC)).total_seconds()))
    for name, value in {**_SETTINGS, "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(seconds)}.items():
        env.setdefault(name, value)


def worker_env() -> dict[str, str]:
    """Return what the environment of workers must hold."""
    here = [str(Path(package.__file__ or "").parents[1]) for package in (refit_contract, refit_ray_train)]
    paths = [*here, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(path for path in paths if path)),
        # Spinning OpenMP threads beside a busy neighbour make a fit ten times as long.
        "OMP_WAIT_POLICY": "passive",
    }


def _runtime_env() -> dict[str, Any] | None:
    """Return what workers of this job need and a raylet that was started earlier may not have."""
    # A driver that was submitted as a job has its environment from the job already, and Ray
    # refuses a second value for the same variable. A head that was started for these workloads has
    # it too, and workers for an environment of a job's own could not be started before the job.
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ or os.environ.get(INHERITED) == "1":
        return None
    return {"env_vars": worker_env()}
