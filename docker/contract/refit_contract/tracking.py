"""How the stages of a refit run appear in MLflow: one experiment, one parent, nested children.

The experiment is `refit/<model name>`. A refit run is one MLflow run there, found again by its
tags `refit.run` and `refit.role=run`; each attempt of a stage that tracks is a child of it, found
by `refit.run`, `refit.stage` and `refit.attempt`. Nothing here sets MLflow's global state.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from refit_contract import lean
from refit_contract.errors import MLflowUnavailableError
from refit_contract.spec import Spec
from refit_contract.wait import wait_for

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

lean.mlflow()

NAMES: Final[Mapping[str, str]] = {"train": "baseline", "tune": "tune", "register": "evaluate"}
"""The name of each tracking stage's run in MLflow."""

_BATCH = 900
"""Values in one request; MLflow takes 1000 in all, tags and parameters included."""

_PATIENCE = timedelta(minutes=2)


def connect(spec: Spec) -> MlflowClient:
    """Return a client for MLFLOW_TRACKING_URI, once the server there answers.

    Raises MLflowUnavailableError when the variable is unset or the server does not answer
    within two minutes or until the spec's deadline.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri:
        raise MLflowUnavailableError("MLFLOW_TRACKING_URI is not set; give the address of an MLflow server")
    if uri.startswith(("http://", "https://")):
        wait_for(
            uri.rstrip("/") + "/health",
            deadline=spec.deadline,
            error=MLflowUnavailableError,
            at_most=_PATIENCE,
        )
    # A workload's log has better things to tell than two lines for every run that ends.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def experiment(spec: Spec, *, client: MlflowClient | None = None) -> str:
    """Return the id of the experiment `refit/<model name>`, made or restored if need be."""
    client = client or connect(spec)
    name = f"refit/{spec.parameters.model_name}"
    with translated(f"open the experiment {name}"):
        found = client.get_experiment_by_name(name)
        if found is None:
            return _create_experiment(client, name)
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)


def parent_run(spec: Spec, *, client: MlflowClient | None = None) -> str:
    """Return the id of the MLflow run that stands for the refit run, made if need be.

    It is running afterwards; whoever finishes the refit run calls `finish` with it.
    """
    client = client or connect(spec)
    return _found_or_made(
        client,
        experiment(spec, client=client),
        name=spec.run,
        key={"refit.run": spec.run, "refit.role": "run"},
        tags={
            "refit.data_uri": spec.data.uri,
            "refit.data_digest": spec.data.digest,
            "refit.commit": spec.commit,
        },
    )


def stage_run(
    spec: Spec,
    *,
    client: MlflowClient | None = None,
    tags: Mapping[str, str] | None = None,
    fresh: bool = False,
) -> str:
    """Return the id of the run of this very attempt below the parent, made if need be.

    It has the name that NAMES gives its stage and is running afterwards. `tags` are set when
    the run is made. With `fresh`, one that is there already, with all below it, is deleted
    first: it is of a process that ended halfway, and MLflow lets nobody change its params.
    """
    client = client or connect(spec)
    experiment_id = experiment(spec, client=client)
    key = {
        "refit.run": spec.run,
        "refit.stage": spec.stage,
        "refit.attempt": str(spec.attempt),
        "refit.role": "stage",
    }
    if fresh:
        _delete(client, experiment_id, key)
    return _found_or_made(
        client,
        experiment_id,
        name=NAMES.get(spec.stage, spec.stage),
        key=key,
        tags={
            "mlflow.parentRunId": parent_run(spec, client=client),
            "refit.image": spec.image,
            "refit.commit": spec.commit,
            **(tags or {}),
        },
    )


def log(
    client: MlflowClient,
    run_id: str,
    *,
    params: Mapping[str, object] | None = None,
    metrics: Iterable[tuple[str, float, int]] = (),
    tags: Mapping[str, str] | None = None,
) -> None:
    """Add params, tags and metrics, each a (name, value, step), in as few requests as may be.

    Raises MLflowUnavailableError when the server refuses, as it does for a param that has
    another value already.
    """
    from mlflow.entities import Metric, Param, RunTag

    now = int(time.time() * 1000)
    points = [Metric(name, float(value), now, step) for name, value, step in metrics]
    with translated(f"log to the MLflow run {run_id}"):
        client.log_batch(
            run_id,
            metrics=points[:_BATCH],
            params=[Param(key, str(value)) for key, value in (params or {}).items()],
            tags=[RunTag(key, value) for key, value in (tags or {}).items()],
        )
        for start in range(_BATCH, len(points), _BATCH):
            client.log_batch(run_id, metrics=points[start : start + _BATCH])


def finish(client: MlflowClient, run_id: str, *, failed: bool = False) -> None:
    """End the MLflow run `run_id` as finished or failed."""
    with translated(f"end the MLflow run {run_id}"):
        client.set_terminated(run_id, status="FAILED" if failed else "FINISHED")


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn the errors of MLflow's client into MLflowUnavailableError, saying what was tried."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as err:
        raise MLflowUnavailableError(f"cannot {doing}: {err}") from err


def _create_experiment(client: MlflowClient, name: str) -> str:
    from mlflow.exceptions import MlflowException

    try:
        return str(client.create_experiment(name))
    except MlflowException:
        # Two runs of one model may make its first experiment at the same moment.
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)


def _found_or_made(
    client: MlflowClient,
    experiment_id: str,
    *,
    name: str,
    key: Mapping[str, str],
    tags: Mapping[str, str],
) -> str:
    with translated(f"open the MLflow run {name}"):
        if found := _find(client, experiment_id, key):
            if found.info.status != "RUNNING":
                client.update_run(found.info.run_id, status="RUNNING")
            return str(found.info.run_id)
        given = {k: v for k, v in {**key, **tags}.items() if v}
        made = client.create_run(experiment_id, run_name=name, tags=given)
        return str(made.info.run_id)


def _delete(client: MlflowClient, experiment_id: str, key: Mapping[str, str]) -> None:
    with translated("delete what an earlier process of this attempt logged"):
        while found := _find(client, experiment_id, key):
            run_id = found.info.run_id
            while child := _find(client, experiment_id, {"mlflow.parentRunId": run_id}):
                client.delete_run(child.info.run_id)
            client.delete_run(run_id)


def _find(client: MlflowClient, experiment_id: str, key: Mapping[str, str]) -> Run | None:
    wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in key.items())
    found = client.search_runs([experiment_id], wanted, max_results=1, order_by=["attributes.start_time ASC"])
    return found[0] if found else None
