from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from contracttest.s3 import FakeS3
from refit_contract.definition import LIMITS, RUN_ID, Conductor, define, digest, parse
from refit_contract.errors import BadInputError, InputChangedError
from refit_contract.spec import Parameters
from refit_contract.store import Store

SHARED: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[3] / "test" / "pipeline" / "testdata" / "contract.json").read_text()
)["parameters"]
NOW = datetime(2026, 11, 23, 6, 0, 0, tzinfo=UTC)
CONDUCTOR = Conductor(name="kubeflow-pipelines", id="job-1")
PARAMETERS = Parameters(entity_data_path="in/mail.parquet")


def begin(store: Store, *, now: datetime = NOW, **changed: Any) -> dict[str, Any]:
    """Define the run of CONDUCTOR, of the one upload there is."""
    return define(
        store,
        state="s3://refit/kubeflow/",
        landing="s3://landing/",
        conductor=CONDUCTOR,
        parameters=replace(PARAMETERS, **changed),
        now=now,
    )


@pytest.fixture
def store(s3: FakeS3) -> Store:
    """Return a store with one upload."""
    s3.objects["/landing/in/mail.parquet"] = b"mail"
    return Store(env=s3.env())


@pytest.mark.parametrize("parameter", SHARED, ids=[p["name"] for p in SHARED])
def test_a_parameter_accepts_what_the_events_accept(parameter: dict[str, Any]) -> None:
    """Words, values inside and values outside of the limits are those that the functions are held to."""
    limit = LIMITS[parameter["name"]]

    assert limit.accepts == parameter["accepts"]
    assert [v for v in parameter["accepted"] if limit.read(v) is None] == []
    assert [v for v in parameter["refused"] if limit.read(v) is not None] == []
    assert limit.read(str(parameter["default"])) == parameter["default"]


def test_every_refused_setting_is_named() -> None:
    """One message names all of them; the others keep their defaults when there is none."""
    assert parse(["num_hpo_trials=3", "model_name=a"]) == Parameters(num_hpo_trials=3, model_name="a")
    with pytest.raises(BadInputError, match=r"unknown parameter 'seed': .*; parameter f1_threshold='2': accepted is"):
        parse(["seed=1", "f1_threshold=2"])


def test_a_run_is_defined_once(s3: FakeS3, store: Store) -> None:
    """A retry, however much later and whatever is uploaded meanwhile, gets the run as it began."""
    first = begin(store)
    s3.objects["/landing/in/mail.parquet"] = b"newer mail"

    assert begin(store, now=datetime(2026, 11, 24, tzinfo=UTC), num_hpo_trials=3) == first
    assert json.loads(s3.objects[f"/refit/kubeflow/runs/{first['run']}/run.json"]) == first
    assert [key for key in s3.objects if key.startswith("/refit/")] == [
        f"/refit/kubeflow/claims/{digest('request', 'kubeflow-pipelines', 'job-1')}",
        f"/refit/kubeflow/runs/{first['run']}/run.json",
    ]


def test_the_definition_pins_the_upload(store: Store) -> None:
    """The run has an id of refit's form, and names the very object that is there now."""
    run = begin(store)

    assert RUN_ID.fullmatch(run["run"])
    assert run["run"].startswith("r-20261123-060000-")
    assert run["data"] == {
        "uri": "s3://landing/in/mail.parquet",
        "bytes": 4,
        "etag": "b83a886a5c437ccd9ac15473fd6f1788",
        "landed_at": "2026-11-23T06:00:00Z",
    }
    assert run["cause"] == {"type": "kubeflow-pipelines.run", "source": "kubeflow-pipelines", "id": "job-1"}


def test_there_is_no_run_without_an_upload(s3: FakeS3, store: Store) -> None:
    """A path that names no object defines nothing."""
    with pytest.raises(InputChangedError, match="in/other"):
        begin(store, entity_data_path="in/other")
    assert list(s3.objects) == ["/landing/in/mail.parquet"]
