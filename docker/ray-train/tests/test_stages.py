from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from refit_contract import Progress, Spec, Store, run, tracking
from refit_ray_train import booster, cluster, train, tune
from refit_ray_train.booster import MAX_ROUNDS, Parameters
from refit_ray_train.choice import Choice
from refit_ray_train.matrix import Matrix
from traintest import matrices


@dataclass(frozen=True, kw_only=True)
class Done:
    """An attempt that ended: its exit code, its result, and the folder with its artifacts."""

    code: int
    result: dict[str, Any]
    folder: Path

    @property
    def figures(self) -> dict[str, Any]:
        """The figures of the result."""
        figures: dict[str, Any] = self.result["figures"]
        return figures


@pytest.fixture(scope="module")
def workplace(platform: dict[str, str]) -> Iterator[dict[str, str]]:
    """Set the platform's environment for the tests of this module."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in platform.items():
            patch.setenv(name, value)
        yield platform


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that holds the outputs of all attempts."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def baseline(workplace: dict[str, str], folder: Path, matrix_file: Path) -> Done:
    """Return the train stage with one worker."""
    assert workplace
    return _train(folder / "train-1", matrix_file, attempt=1)


@pytest.fixture(scope="module")
def tuned(baseline: Done, folder: Path, matrix_file: Path) -> Iterator[Done]:
    """Return the tune stage with eight trials that the scheduler looks at early."""
    with pytest.MonkeyPatch.context() as patch:
        # These mails are learned in a few rounds: a search that looks as late as for real mails
        # would have nothing left to stop.
        patch.setattr("refit_ray_train.search.GRACE", 10)
        yield _tune(folder / "tune-1", matrix_file, baseline, attempt=1, num_hpo_trials=8)


def _train(output: Path, matrix_file: Path, **parameters: Any) -> Done:
    inputs = {"train_matrix": matrices.as_input(matrix_file)}
    uri = matrices.spec(output, stage="train", inputs=inputs, **parameters)
    return _done(run.main("train", train.work, argv=[uri]), output)


def _tune(output: Path, matrix_file: Path, baseline: Done, **parameters: Any) -> Done:
    inputs = {
        "train_matrix": matrices.as_input(matrix_file),
        "baseline_choice": matrices.as_input(baseline.folder / "baseline.json"),
    }
    uri = matrices.spec(output, stage="tune", inputs=inputs, **parameters)
    return _done(run.main("tune", tune.work, argv=[uri]), output)


def _done(code: int, output: Path) -> Done:
    result = json.loads((output / "result.json").read_text())
    return Done(code=code, result=result, folder=output)


def _predictions(model: Path, data: Matrix) -> np.ndarray[Any, np.dtype[np.float32]]:
    found: np.ndarray[Any, np.dtype[np.float32]] = xgboost.Booster(model_file=str(model)).inplace_predict(
        data.features, validate_features=False
    )
    return found


def _trials(done: Done) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((done.folder / "trials.json").read_text())["trials"]
    return rows


def test_the_baseline_succeeds_with_its_artifacts(baseline: Done) -> None:
    """Ray Train's workers hand over a model, its choice and figures that obey the schema."""
    assert baseline.code == run.EXIT_SUCCEEDED
    assert set(baseline.result["artifacts"]) == {"baseline", "baseline_choice"}
    assert baseline.figures["workers"] == 1
    assert baseline.figures["f1"] > 0.9
    choice = Choice.read(baseline.folder / "baseline.json")
    assert choice.figures().items() <= baseline.figures.items()


def test_the_same_seed_gives_the_same_baseline(baseline: Done, folder: Path, matrix_file: Path) -> None:
    """Two runs of the stage write the same model file and the same choice, byte for byte."""
    again = _train(folder / "train-again", matrix_file, attempt=2)
    for name in ("baseline.ubj", "baseline.json"):
        assert (again.folder / name).read_bytes() == (baseline.folder / name).read_bytes()


def test_the_cluster_makes_the_model_that_one_process_makes(baseline: Done, data: Matrix) -> None:
    """What Ray Train returns is what the recorded choice gives without Ray, byte for byte."""
    choice = Choice.read(baseline.folder / "baseline.json")
    model = booster.refit(data, parameters=choice.parameters, rounds=choice.rounds, seed=choice.seed, threads=1)
    assert (baseline.folder / "baseline.ubj").read_bytes() == model


def test_two_workers_predict_nearly_what_one_does(
    baseline: Done, folder: Path, matrix_file: Path, data: Matrix
) -> None:
    """Two workers agree with one on 98 of 100 mails, and by 0.05 in probability on average.

    They cannot agree exactly: each quantises its own half of the rows, so the candidate splits
    differ, and with them the round with the lowest loss.
    """
    two = _train(folder / "train-2", matrix_file, attempt=3, num_workers=2)
    assert (two.code, two.figures["workers"]) == (run.EXIT_SUCCEEDED, 2)
    here, there = (_predictions(done.folder / "baseline.ubj", data) for done in (baseline, two))
    assert np.abs(here - there).mean() < 0.05
    said = (here >= baseline.figures["threshold"]) == (there >= two.figures["threshold"])
    assert said.mean() >= 0.98


def test_a_trial_ends_before_its_last_iteration(tuned: Done) -> None:
    """The scheduler really stops: short of the last round, and not because the trial was done."""
    assert tuned.code == run.EXIT_SUCCEEDED
    stopped = [row for row in _trials(tuned) if row["stopped_early"]]
    assert len(stopped) == tuned.figures["stopped_early"] >= 1
    for row in stopped:
        assert row["ended"] == "stopped"
        assert row["history"][-1]["round"] < MAX_ROUNDS
    assert tuned.figures["trials"] == len(_trials(tuned)) == 8


def test_the_first_trial_has_the_baselines_parameters(tuned: Done) -> None:
    """Tuning starts from the baseline, so that it has been compared with it on equal terms."""
    rows = _trials(tuned)
    assert rows[0]["parameters"] == Parameters().json()
    assert all(row["parameters"] != rows[0]["parameters"] for row in rows[1:])


def test_the_best_trial_is_the_one_with_the_highest_f1(tuned: Done) -> None:
    """The figures are those of the best trial, each at its round with the lowest log loss."""
    rows = _trials(tuned)
    best = max(rows, key=lambda row: (row["f1"], -row["log_loss"], -row["trial"]))
    assert tuned.figures["best_trial"] == best["trial"]
    assert tuned.figures["parameters"] == best["parameters"]
    for name in ("f1", "log_loss", "threshold", "rounds"):
        assert tuned.figures[name] == best[name]


def test_the_tuned_model_can_be_made_again_from_its_choice(tuned: Done, data: Matrix) -> None:
    """Model and figures follow, bit for bit, from the recorded parameters, rounds and seed."""
    choice = Choice.read(tuned.folder / "tuned.json")
    model = booster.refit(data, parameters=choice.parameters, rounds=choice.rounds, seed=choice.seed, threads=1)
    assert (tuned.folder / "tuned.ubj").read_bytes() == model
    boosting = booster.Boosting(
        parameters=choice.parameters,
        pool=booster.Pool(data, threads=1),
        seed=choice.seed,
        threads=1,
    )
    for _ in range(choice.rounds):
        boosting.grow()
    assert boosting.fit().figures == choice.validation


def test_progress_tells_how_many_trials_are_done(tuned: Done) -> None:
    """Whoever watches sees the trials count up, with the best F1 so far."""
    progress = json.loads((tuned.folder / "progress.json").read_text())
    assert (progress["step"], progress["total"]) == ("trials", 8)
    assert 1 <= progress["done"] <= 8
    assert progress["message"].startswith("best F1 0.")


def test_one_trial_is_a_search_too(baseline: Done, folder: Path, matrix_file: Path) -> None:
    """With num_hpo_trials 1 the tuned model is the baseline's own."""
    one = _tune(folder / "tune-one", matrix_file, baseline, attempt=2, num_hpo_trials=1)
    assert one.code == run.EXIT_SUCCEEDED
    assert (one.figures["trials"], one.figures["best_trial"]) == (1, 0)
    model = (baseline.folder / "baseline.ubj").read_bytes()
    assert (one.folder / "tuned.ubj").read_bytes() == model


def test_mlflow_shows_run_stages_and_trials(tuned: Done, baseline: Done) -> None:
    """One parent holds the stages, the tune stage its trials, each with parameters and history."""
    spec = Spec.parse((tuned.folder / "spec.json").read_bytes())
    client = tracking.connect(spec)
    stages = [client.get_run(done.figures["mlflow_run_id"]) for done in (baseline, tuned)]
    parent = tracking.parent_run(spec, client=client)
    assert [stage.data.tags["mlflow.parentRunId"] for stage in stages] == [parent, parent]
    assert [stage.info.run_name for stage in stages] == ["baseline", "tune"]
    assert {stage.info.status for stage in stages} == {"FINISHED"}
    assert stages[0].data.params["train_matrix_digest"] == spec.input("train_matrix").digest
    assert stages[1].data.metrics["f1"] == tuned.figures["f1"]
    rounds = client.get_metric_history(stages[0].info.run_id, "validation_log_loss")
    assert [point.step for point in rounds] == list(range(1, len(rounds) + 1))

    below = f"tags.mlflow.parentRunId = '{stages[1].info.run_id}'"
    trials = {
        trial.data.tags["refit.trial"]: trial for trial in client.search_runs([stages[1].info.experiment_id], below)
    }
    assert set(trials) == {str(row["trial"]) for row in _trials(tuned)}
    for row in _trials(tuned):
        trial = trials[str(row["trial"])]
        assert trial.data.params["max_depth"] == str(row["parameters"]["max_depth"])
        assert trial.data.tags["stopped_early"] == str(row["stopped_early"]).lower()
        points = client.get_metric_history(trial.info.run_id, "validation_f1")
        assert [point.value for point in points] == [point["f1"] for point in row["history"]]


@pytest.mark.parametrize("address", ["", "local"])
def test_without_a_cluster_the_stage_says_what_it_needs(
    address: str,
    workplace: dict[str, str],
    tmp_path: Path,
    matrix_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No cluster is started in silence: the result is a failure that names RAY_ADDRESS."""
    assert workplace
    monkeypatch.setenv("RAY_ADDRESS", address)
    done = _train(tmp_path / "out", matrix_file)
    assert done.code == run.EXIT_FAILED
    assert done.result["error"]["reason"] == "RayUnavailable"
    assert "RAY_ADDRESS" in done.result["error"]["message"]


def test_a_killed_driver_leaves_nothing_on_the_cluster(
    baseline: Done, workplace: dict[str, str], tmp_path: Path, matrix_file: Path
) -> None:
    """When the process of a stage is killed in its work, Ray ends all of its actors.

    Only the actor that Ray Train keeps once for each cluster, without a CPU, may be there.
    """
    output = tmp_path / "out"
    inputs = {
        "train_matrix": matrices.as_input(matrix_file),
        "baseline_choice": matrices.as_input(baseline.folder / "baseline.json"),
    }
    uri = matrices.spec(output, stage="tune", inputs=inputs, attempt=9, num_hpo_trials=500)
    driver = subprocess.Popen(
        [sys.executable, "-m", "refit_ray_train.tune", uri],
        env={**os.environ, **workplace, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert driver.stdout
    with driver.stdout:
        trial = next(line for line in driver.stdout if "trial 0" in line or "trial 1" in line)
        assert "best F1" in trial
        driver.send_signal(signal.SIGKILL)
    driver.wait()
    free, named = _left(tmp_path, deadline=time.monotonic() + 30)
    assert free == 2.0
    assert named <= {"AutoscalingCoordinator"}


def _left(scratch: Path, *, deadline: float) -> tuple[float, set[str]]:
    """Return the free CPUs and the named actors of the cluster, as soon as all CPUs are free."""
    import ray

    spec = Spec.parse((scratch / "out" / "spec.json").read_bytes())
    context = run.Context(
        spec=spec,
        store=Store(),
        scratch=scratch,
        progress=Progress(store=Store(), uri=f"file://{scratch}/progress.json"),
        log=logging.getLogger("test"),
        cpus=1,
    )
    pause = threading.Event()
    with cluster.connected(spec, context):
        while True:
            resources: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]
            free = resources.get("CPU", 0.0)
            if free == 2.0 or time.monotonic() > deadline:
                named = ray.util.list_named_actors(all_namespaces=True)
                return free, {actor["name"] for actor in named}
            pause.wait(0.1)
