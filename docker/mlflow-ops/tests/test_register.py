"""The registration behind the pipeline's gate: what the register function does, once."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracttest.s3 import FakeS3
from evaluatetest import tracked
from evaluatetest.world import World
from refit_contract import BadInputError, MLflowUnavailableError, Store
from refit_contract.run import EXIT_FAILED, EXIT_SUCCEEDED
from refit_mlflow_ops import model, register
from refit_mlflow_ops.champion import ALIAS as CHAMPION
from refit_mlflow_ops.register import CHALLENGER, Evaluated, choose

RUN = "r-20261123-060000-0a1b2c3d"
NO_CHAMPION = {"version": "", "better": False, "reason": "spam has no champion yet"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder with an MLflow in it, which is the current one."""
    path = tmp_path_factory.mktemp("register")
    with tracked.store(path):
        yield path


@pytest.fixture(scope="module")
def logged(world: World, folder: Path) -> tuple[model.Logged, str]:
    """Return the tuned candidate, logged, and the MLflow run that logged it."""
    import mlflow

    made = tracked.log(world, folder, tags={"refit.run": RUN})
    return made, str(mlflow.MlflowClient().get_logged_model(made.id).source_run_id)


@pytest.fixture
def s3() -> Iterator[FakeS3]:
    """Return a running S3 server without objects."""
    with FakeS3() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def evaluated(
    s3: FakeS3,
    logged: tuple[model.Logged, str],
    *,
    name: str,
    run: str = RUN,
    f1: float = 0.91234,
    champion: dict[str, Any] = NO_CHAMPION,
) -> tuple[str, str]:
    """Write what the evaluation and prepare of `run` leave; return the URIs of both results."""
    made, mlflow_run = logged
    figures = {
        "f1": f1,
        "winner": "tuned",
        "model_uri": made.uri,
        "mlflow_model_id": made.id,
        "mlflow_run_id": mlflow_run,
        "champion": champion,
    }
    spec = {
        "run": run,
        "stage": "register",
        "attempt": 1,
        "inputs": {},
        "output": f"s3://refit/{run}/register/1/",
        "parameters": {"test_split_ratio": 0.2, "seed": 42, "f1_threshold": 0.9, "model_name": name},
        "image": "i:v1",
        "commit": "0123456",
        "deadline": "2099-01-01T00:00:00Z",
        "data": {"uri": "s3://landing/mail.parquet", "landed_at": "2026-11-23T06:00:00Z"},
    }
    objects = {
        f"/refit/{run}/register/1/spec.json": spec,
        f"/refit/{run}/register/1/result.json": {"figures": figures},
        f"/refit/{run}/prepare/1/result.json": {"figures": {"data_digest": "sha256:d"}},
    }
    s3.objects |= {key: json.dumps(value).encode() for key, value in objects.items()}
    return f"s3://refit/{run}/register/1/result.json", f"s3://refit/{run}/prepare/1/result.json"


def registered(s3: FakeS3, logged: tuple[model.Logged, str], **changed: Any) -> register.Registered:
    """Register the model of an evaluation."""
    from mlflow.tracking import MlflowClient

    evaluation, preparation = evaluated(s3, logged, **changed)
    read = Evaluated.read(Store(env=s3.env()), evaluation=evaluation, preparation=preparation)
    return register.register(MlflowClient(), read, image="i:v1")


def test_a_version_carries_its_origin(s3: FakeS3, logged: tuple[model.Logged, str]) -> None:
    """The first model is the champion, with the tags that the register function sets."""
    from mlflow.tracking import MlflowClient

    made = registered(s3, logged, name="origin")

    assert made == register.Registered(version="1", alias=CHAMPION, reason="there was no champion")
    version = MlflowClient().get_model_version_by_alias("origin", CHAMPION)
    assert version.tags == {
        "refit.run": RUN,
        "refit.data": "s3://landing/mail.parquet",
        "refit.data_digest": "sha256:d",
        "refit.image": "i:v1",
        "refit.commit": "0123456",
        "refit.f1": "0.9123",
        "refit.winner": "tuned",
    }


def test_a_retry_registers_nothing_more(s3: FakeS3, logged: tuple[model.Logged, str]) -> None:
    """The run's version is found by its tag; it stays the only one and keeps its alias."""
    from mlflow.tracking import MlflowClient

    first, second = registered(s3, logged, name="retry"), registered(s3, logged, name="retry")

    assert (second.version, second.alias) == (first.version, first.alias)
    assert len(MlflowClient().search_model_versions("name = 'retry'")) == 1


def test_the_verdict_decides_the_alias(s3: FakeS3, logged: tuple[model.Logged, str]) -> None:
    """A model that does not surely beat the champion is the challenger; one that does takes its place."""
    from mlflow.tracking import MlflowClient

    registered(s3, logged, name="rivals")
    weaker = registered(
        s3,
        logged,
        name="rivals",
        run=RUN[:-1] + "e",
        champion={"version": "1", "better": False, "reason": "not surely"},
    )
    better = registered(
        s3, logged, name="rivals", run=RUN[:-1] + "f", champion={"version": "1", "better": True, "reason": "F1 beats"}
    )

    assert (weaker.version, weaker.alias, weaker.reason) == ("2", CHALLENGER, "not surely")
    assert (better.version, better.alias, better.reason) == ("3", CHAMPION, "F1 beats")
    assert str(MlflowClient().get_model_version_by_alias("rivals", CHAMPION).version) == "3"


@pytest.mark.parametrize(
    ("before", "verdict", "want"),
    [
        ("", NO_CHAMPION, (CHAMPION, "there was no champion")),
        ("7", {"version": "1", "better": True, "reason": ""}, (CHAMPION, "this version is the champion")),
        (
            "5",
            {"version": "4", "better": True, "reason": "F1 beats"},
            (CHALLENGER, "the champion changed to version 5 since the comparison"),
        ),
        ("5", {"version": "5", "better": True, "reason": "F1 beats"}, (CHAMPION, "F1 beats")),
        ("5", {"version": "5", "better": False, "reason": "not surely"}, (CHALLENGER, "not surely")),
    ],
)
def test_each_case_of_the_alias(before: str, verdict: dict[str, Any], want: tuple[str, str]) -> None:
    """A verdict about another champion than the one there is now makes no champion."""
    assert choose(before=before, version="7", verdict=verdict) == want


def test_a_model_below_the_gate_is_refused(s3: FakeS3, logged: tuple[model.Logged, str]) -> None:
    """Whoever starts the step by hand passes the gate no more than the pipeline does."""
    with pytest.raises(BadInputError, match=r"F1 0.8999 is below f1_threshold 0.9"):
        registered(s3, logged, name="gate", f1=0.8999)


def test_a_registry_that_refuses_is_named(s3: FakeS3, logged: tuple[model.Logged, str]) -> None:
    """What MLflow says comes with what was tried."""
    made, mlflow_run = logged
    broken = model.Logged(id=made.id, uri="models:/m-gone")
    with pytest.raises(MLflowUnavailableError, match="register broken"):
        registered(s3, (broken, mlflow_run), name="broken")


def test_the_step_hands_on_version_and_alias(
    s3: FakeS3, logged: tuple[model.Logged, str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step takes the lease that the register function takes, and gives it back."""
    root = logging.getLogger()
    handlers = root.handlers[:]
    for name, value in {**s3.env(), "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("REFIT_BUCKET", raising=False)
    evaluation, preparation = evaluated(s3, logged, name="step")
    arguments = ["--evaluation", evaluation, "--preparation", preparation, "--image", "i:v1"]
    outputs = [f"--output-{field}={tmp_path}/{field}/value" for field in ("version", "alias", "reason")]

    assert register.main([*arguments, *outputs]) == EXIT_SUCCEEDED

    assert [(tmp_path / field / "value").read_text() for field in ("version", "alias")] == ["1", CHAMPION]
    assert json.loads(s3.objects["/refit/locks/model/step"]) == {
        "holder": f"{RUN}/1",
        "expires": "0001-01-01T00:00:00Z",
    }
    assert register.main(["--evaluation", evaluation, "--preparation", "s3://refit/gone"]) == EXIT_FAILED
    root.handlers[:] = handlers
