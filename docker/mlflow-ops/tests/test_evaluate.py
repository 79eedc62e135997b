"""The stage as a whole: a spec in, figures, pictures and a model in MLflow out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from evaluatetest import tracked
from evaluatetest.world import TEST_ROWS, World
from refit_contract import main, schema
from refit_mlflow_ops import evaluate

PICTURES = {
    "calibration",
    "confusion_matrix",
    "feature_importance",
    "pr_curve",
    "roc_curve",
    "tuning_history",
}


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A folder with an MLflow in it, and the result of the first attempt there."""

    folder: Path
    first: dict[str, Any]


def attempt(world: World, folder: Path, *, number: int = 1, leave_out: tuple[str, ...] = ()) -> Any:
    """Run one attempt with its output in `folder` and return its result."""
    folder.mkdir(exist_ok=True)
    spec = world.spec(folder, attempt=number, leave_out=leave_out)
    main("register", evaluate.work, argv=[spec])
    return json.loads((folder / "result.json").read_text())


@pytest.fixture(scope="module")
def bundle(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    """Return an MLflow in which the world was evaluated once."""
    folder = tmp_path_factory.mktemp("evaluate")
    with pytest.MonkeyPatch.context() as patch, tracked.store(folder) as uri:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        patch.chdir(folder)
        yield Bundle(folder=folder, first=attempt(world, folder / "first"))


def test_the_result_keeps_the_contract(bundle: Bundle) -> None:
    """The figures match their schema, and every file that was promised is there."""
    result = bundle.first
    assert result["outcome"] == "succeeded"
    assert schema.problems("figures.register", result["figures"]) == []
    assert set(result["artifacts"]) == {"figures", *PICTURES}
    for artifact in result["artifacts"].values():
        assert Path(artifact["uri"].removeprefix("file://")).stat().st_size == artifact["bytes"]


def test_the_validation_winner_is_judged(bundle: Bundle) -> None:
    """The winner of the validation is judged on all test mails, the other reported beside it."""
    figures = bundle.first["figures"]
    assert figures["winner"] == "tuned"
    assert figures["rows"] == TEST_ROWS == figures["serving_checked"]
    assert sum(figures[k] for k in ("tp", "fp", "tn", "fn")) == TEST_ROWS
    assert 0.7 < figures["f1_low"] <= figures["f1"] <= figures["f1_high"] <= 1
    assert 0.5 < figures["other_f1"] < 1
    details = json.loads((bundle.folder / "first" / "figures.json").read_text())
    assert set(details["candidates"]) == {"tuned", "baseline"}
    assert details["candidates"]["baseline"]["f1"] == figures["other_f1"]


def test_without_a_champion_there_is_no_comparison(bundle: Bundle) -> None:
    """No champion: the version is empty and the reason says so."""
    champion = bundle.first["figures"]["champion"]
    assert (champion["version"], champion["better"]) == ("", False)
    assert champion["reason"] == "spam-detector has no champion yet"


def test_mlflow_shows_the_attempt_below_its_run(bundle: Bundle) -> None:
    """The attempt is a finished child with metrics, pictures, report and figures; so is its parent."""
    from mlflow import MlflowClient

    client, figures = MlflowClient(), bundle.first["figures"]
    run = client.get_run(figures["mlflow_run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test_f1"] == figures["f1"]
    parent = client.get_run(run.data.tags["mlflow.parentRunId"])
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["test_f1"] == figures["f1"]
    logged = {a.path for a in client.list_artifacts(run.info.run_id)}
    assert {"figures.json", "report.json", "plots"} <= logged
    pictures = {a.path for a in client.list_artifacts(run.info.run_id, "plots")}
    assert pictures == {f"plots/{name}.png" for name in PICTURES}
    model = client.get_logged_model(figures["mlflow_model_id"])
    assert model.source_run_id == run.info.run_id
    assert model.tags["refit.run"] == bundle.first["run"]
    assert {m.key: m.value for m in model.metrics or []}["test_f1"] == figures["f1"]


def test_an_attempt_run_again_changes_nothing(world: World, bundle: Bundle) -> None:
    """The same attempt again finds its run and its model, and has the same figures and pictures."""
    again = attempt(world, bundle.folder / "again")
    assert again["figures"] == bundle.first["figures"]
    digests = {n: a["digest"] for n, a in bundle.first["artifacts"].items()}
    assert {n: a["digest"] for n, a in again["artifacts"].items()} == digests


def test_an_upload_without_raw_mail_is_judged_all_the_same(world: World, bundle: Bundle) -> None:
    """No test_raw, no trials: nothing is checked by serving, and nothing is claimed to be."""
    left_out = ("test_raw", "trials")
    result = attempt(world, bundle.folder / "text", number=2, leave_out=left_out)
    assert result["outcome"] == "succeeded"
    assert result["figures"]["serving_checked"] == 0
    assert set(result["artifacts"]) == {"figures", *PICTURES} - {"tuning_history"}


def test_no_mlflow_is_said_so(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without MLflow the attempt fails with its reason instead of going on without a model."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    result = attempt(world, tmp_path / "out")
    assert result["error"]["reason"] == "MLflowUnavailable"
