from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from refit_contract import MLflowUnavailableError, Spec, tracking


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URI of an MLflow store in a file."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture
def spec(
    store: str,
    spec_value: dict[str, Any],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Spec:
    """Return the spec of a train stage, of a run that no other test has."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    changed = {"run": f"r-{request.node.name}"[:60], "stage": "train"}
    return Spec.parse(json.dumps({**spec_value, **changed}))


def test_a_relaunched_stage_finds_the_parent_again(spec: Spec) -> None:
    """All stages and attempts of a refit run lie below one parent, each attempt once."""
    client = tracking.connect(spec)
    parent = tracking.parent_run(spec)
    first = tracking.stage_run(spec, client=client)
    tracking.finish(client, first, failed=True)
    second = tracking.stage_run(dataclasses.replace(spec, attempt=3), client=client)
    tune = tracking.stage_run(dataclasses.replace(spec, stage="tune"), client=client)
    assert len({parent, first, second, tune}) == 4
    assert tracking.parent_run(spec, client=client) == parent
    for run_id in (first, second, tune):
        assert client.get_run(run_id).data.tags["mlflow.parentRunId"] == parent
    assert client.get_run(tune).info.run_name == "tune"


def test_asking_twice_gives_the_same_run_running(spec: Spec) -> None:
    """A stage may ask for its run again, also after it has ended."""
    client = tracking.connect(spec)
    run_id = tracking.stage_run(spec, client=client, tags={"refit.note": "first"})
    tracking.finish(client, run_id)
    assert client.get_run(run_id).info.status == "FINISHED"
    assert tracking.stage_run(spec, client=client) == run_id
    assert client.get_run(run_id).info.status == "RUNNING"
    assert client.get_run(run_id).data.tags["refit.note"] == "first"


def test_a_fresh_run_replaces_what_a_killed_process_left(spec: Spec) -> None:
    """The run of the same attempt, and all below it, is gone; the parent stays."""
    client = tracking.connect(spec)
    old = tracking.stage_run(spec, client=client)
    tracking.log(client, old, params={"rounds": 10})
    experiment_id = tracking.experiment(spec, client=client)
    child = client.create_run(experiment_id, tags={"mlflow.parentRunId": old}).info.run_id
    parent = tracking.parent_run(spec, client=client)
    new = tracking.stage_run(spec, client=client, fresh=True)
    tracking.log(client, new, params={"rounds": 20})
    assert new != old
    for gone in (old, child):
        assert client.get_run(gone).info.lifecycle_stage == "deleted"
    assert tracking.parent_run(spec, client=client) == parent


def test_more_metrics_than_one_request_takes(spec: Spec) -> None:
    """A history of any length arrives whole."""
    client = tracking.connect(spec)
    run_id = tracking.stage_run(spec, client=client)
    points = [("loss", 1 / step, step) for step in range(1, 2001)]
    tracking.log(client, run_id, params={"seed": 42}, metrics=points, tags={"part": "fit"})
    history = client.get_metric_history(run_id, "loss")
    assert [(point.key, point.value, point.step) for point in history] == points
    assert client.get_run(run_id).data.params == {"seed": "42"}


def test_a_refusal_is_a_failure_that_the_contract_knows(spec: Spec) -> None:
    """What MLflow does not accept ends the stage with a reason, not with a traceback."""
    client = tracking.connect(spec)
    run_id = tracking.stage_run(spec, client=client)
    tracking.log(client, run_id, params={"seed": 1})
    with pytest.raises(MLflowUnavailableError, match="cannot log to the MLflow run"):
        tracking.log(client, run_id, params={"seed": 2})


def test_a_deleted_experiment_is_restored(spec: Spec, spec_value: dict[str, Any]) -> None:
    """Whoever deleted a model's experiment still gets the next run of the model."""
    value = {**spec_value, "parameters": {**spec_value["parameters"], "model_name": "deleted"}}
    other = dataclasses.replace(Spec.parse(json.dumps(value)), stage="train")
    client = tracking.connect(other)
    experiment_id = tracking.experiment(other)
    assert client.get_experiment(experiment_id).name == "refit/deleted"
    client.delete_experiment(experiment_id)
    assert tracking.experiment(other, client=client) == experiment_id
    assert client.get_experiment(experiment_id).lifecycle_stage == "active"
    assert tracking.experiment(spec, client=client) != experiment_id


def test_without_an_address_the_message_names_the_variable(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's default, a folder beside the process, is never used."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(MLflowUnavailableError, match="MLFLOW_TRACKING_URI is not set"):
        tracking.connect(spec)
    assert not Path("mlruns").exists()
