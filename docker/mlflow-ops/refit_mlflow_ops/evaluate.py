"""The evaluate stage: `python -m refit_mlflow_ops.evaluate <spec URI>`.

The winner of the validation is judged once on the untouched test split, logged to MLflow as a
model that takes raw mail, rehearsed in a clean interpreter, and compared with the champion. This
stage registers nothing: it hands over figures and the logged model, and the gate decides.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refit_contract import Artifact, Context, InternalError, Spec, main, tracking
from refit_mlflow_ops import champion, figures, model, plots, rehearsal
from refit_mlflow_ops.candidate import Candidate, gains, pick
from refit_mlflow_ops.detector import Detector, feature_titles
from refit_mlflow_ops.split import Split, Train

if TYPE_CHECKING:
    from mlflow import MlflowClient

_STEPS = 4


@dataclass(frozen=True, kw_only=True)
class Case:
    """One evaluation: the candidates, the split that judges them and the figures it gave.

    `mails` is the file of the test split's raw mails, None when the upload held none; `files` are
    the winner's files as a served model.
    """

    spec: Spec
    context: Context
    candidate: Candidate
    winner: plots.Judged
    other: plots.Judged
    split: Split
    matrix: Path
    mails: Path | None
    files: Mapping[str, Path]
    quality: Mapping[str, Any]

    def report(self, step: str, done: int) -> None:
        """Say how far the evaluation is, and end it when its deadline has passed."""
        self.context.check_deadline()
        self.context.progress.report(step, done=done, total=_STEPS)


def work(spec: Spec, context: Context) -> tuple[Mapping[str, Any], Mapping[str, Artifact]]:
    """Judge the validation winner of `spec`; return the figures and artifacts of the contract."""
    # Progress bars and links would be most of the log.
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    # What takes long and waits for nothing comes first, beside the rest: a clean interpreter for the
    # model that will be logged, and the champion's scores.
    with (
        rehearsal.scoring(name="logged", scratch=context.scratch) as clean,
        ThreadPoolExecutor(max_workers=1) as pool,
    ):
        case = _judge(spec, context)
        context.log.info("%s is judged: test F1 %.4f", case.winner.name, case.quality["f1"])
        case.report("judged", 1)
        verdict = pool.submit(_compare, case)
        checked = _check_features(case)
        context.log.info("%d mails have the same prediction from raw mail", checked)
        case.report("served features checked", 2)
        result, files = _track(case, checked, clean, verdict)
    return result, {name: context.upload(path) for name, path in files.items()}


def _track(
    case: Case, checked: int, clean: rehearsal.Scoring, champions: Future[champion.Verdict]
) -> tuple[dict[str, Any], dict[str, Path]]:
    """Log everything to the attempt's MLflow run; return all figures and the artifact files."""
    import mlflow

    spec = case.spec
    client = tracking.connect(spec)
    experiment_id = tracking.experiment(spec, client=client)
    run_id = tracking.stage_run(spec, client=client)
    # Ends the run as failed when anything here raises.
    with mlflow.start_run(run_id=run_id):
        with tracking.translated("log the model to MLflow"):
            logged = _log_model(case, experiment_id)
        case.report("model logged", 3)
        pictures = _rehearse(case, logged, clean)
        verdict = champions.result()
        case.context.log.info("champion: %s", verdict.reason)
        case.report("compared with the champion", 4)
        result = {
            **case.quality,
            "serving_checked": checked,
            "mlflow_experiment_id": experiment_id,
            "mlflow_run_id": run_id,
            "mlflow_model_id": logged.id,
            "model_uri": logged.uri,
            "champion": verdict.figures(),
        }
        files = {"figures": _write_details(case, result), **pictures}
        with tracking.translated("log figures and pictures to MLflow"):
            _log_files(case, files, logged)
    _finish_parent(case, client)
    return result, files


def _finish_parent(case: Case, client: MlflowClient) -> None:
    """Show the outcome on the MLflow run of the whole refit run: nothing tracked comes later."""
    parent = tracking.parent_run(case.spec, client=client)
    metrics = [(name, value, 0) for name, value in figures.numbers(case.quality).items()]
    tracking.log(client, parent, metrics=metrics, tags={"refit.winner": case.winner.name})
    tracking.finish(client, parent)


def _judge(spec: Spec, context: Context) -> Case:
    first, second = pick(*(_candidate(context, name) for name in ("baseline", "tuned")))
    matrix = context.download("test_matrix")
    boosters = {c.name: c.booster(threads=context.cpus) for c in (first, second)}
    entities = context.download("entities")
    split = Split.read(matrix, entities=entities, boosters=boosters)
    winner, other = (
        plots.Judged(name=c.name, probabilities=split.probabilities[c.name], threshold=c.threshold)
        for c in (first, second)
    )
    train = Train.read(entities)
    return Case(
        spec=spec,
        context=context,
        candidate=first,
        winner=winner,
        other=other,
        split=split,
        matrix=matrix,
        mails=context.download("test_raw") if "test_raw" in spec.inputs else None,
        files=_files(context, first, train),
        quality=figures.of_quality(
            split=split,
            winner=winner,
            other=other,
            seen_domains=train.sender_domains,
            seed=spec.parameters.seed,
        ),
    )


def _candidate(context: Context, name: str) -> Candidate:
    choice = context.download(f"{name}_choice")
    # xgboost tells the format by the ending.
    booster = context.download(name).rename(context.scratch / f"{name}.ubj")
    return Candidate.read(name=name, model=booster, choice=choice)


def _files(context: Context, winner: Candidate, train: Train) -> dict[str, Path]:
    """Return the winner's files by the names that they keep in the logged model."""
    folder = context.scratch / "model"
    folder.mkdir()
    files = {
        "model": Path(shutil.copy(winner.model, folder / "model.ubj")),
        "tfidf": context.download("tfidf").rename(folder / "tfidf.json"),
        "senders": context.download("senders").rename(folder / "senders.parquet"),
        "train_groups": champion.write_groups(train.hashes, folder / "train_groups.parquet"),
        "choice": folder / "choice.json",
    }
    content = {"candidate": winner.name, **winner.choice}
    files["choice"].write_text(json.dumps(content, indent=1, sort_keys=True), encoding="utf-8")
    return files


def _check_features(case: Case) -> int:
    if case.mails is None:
        return 0
    return rehearsal.check_features(
        detector=Detector.load(case.files, threads=case.context.cpus),
        mails=case.mails,
        now=case.spec.data.landed_at,
        matrix=case.matrix,
        email_ids=case.split.email_ids,
        probabilities=case.winner.probabilities,
    )


def _log_model(case: Case, experiment_id: str) -> model.Logged:
    spec = case.spec
    tags = {
        "refit.run": spec.run,
        "refit.attempt": str(spec.attempt),
        "refit.candidate": case.winner.name,
        "refit.model_digest": spec.input(case.winner.name).digest,
        "refit.data_digest": spec.data.digest,
        "refit.image": spec.image,
        "refit.commit": spec.commit,
    }
    return model.log(
        files=case.files,
        threshold=case.winner.threshold,
        tags={key: value for key, value in tags.items() if value},
        params={"seed": spec.parameters.seed, **case.candidate.choice.get("parameters", {})},
        experiment_id=experiment_id,
    )


def _rehearse(case: Case, logged: model.Logged, clean: rehearsal.Scoring) -> dict[str, Path]:
    """Score raw mail with the logged model, and draw the pictures meanwhile."""
    mails = case.mails or model.write_examples(case.context.scratch / "examples.parquet")
    clean.begin(model=logged.uri, mails=mails, now=case.spec.data.landed_at)
    pictures = _draw(case)
    try:
        scores = clean.result(seconds=_seconds_left(case.spec))
    except rehearsal.ScoringError as err:
        raise InternalError(f"the logged model cannot be served: {err}") from err
    if case.mails is not None:
        rows = case.split.rows_of(case.mails)
        rehearsal.check_scores(scores=scores, expected=case.winner.probabilities[rows])
    return pictures


def _compare(case: Case) -> champion.Verdict:
    return champion.compare(
        model_name=case.spec.parameters.model_name,
        split=case.split,
        candidate=case.winner.probabilities >= case.winner.threshold,
        mails=case.mails,
        now=case.spec.data.landed_at,
        seed=case.spec.parameters.seed,
        scratch=case.context.scratch,
        seconds=_seconds_left(case.spec),
    )


def _draw(case: Case) -> dict[str, Path]:
    folder = case.context.scratch / "plots"
    folder.mkdir()
    booster = case.candidate.booster(threads=1)
    return plots.draw(
        folder=folder,
        labels=case.split.labels,
        winner=case.winner,
        other=case.other,
        gains=gains(booster, titles=feature_titles(case.files["tfidf"])),
        trials=_trials(case.context),
    )


def _trials(context: Context) -> list[plots.Trial]:
    """Return the tuning trials, none when the spec does not name them."""
    if "trials" not in context.spec.inputs:
        return []
    return plots.read_trials(context.download("trials"))


def _write_details(case: Case, result: Mapping[str, Any]) -> Path:
    content = figures.details(figures=result, split=case.split, winner=case.winner, other=case.other)
    path = case.context.scratch / "figures.json"
    path.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")
    return path


def _log_files(case: Case, files: Mapping[str, Path], logged: model.Logged) -> None:
    import mlflow

    for name, path in files.items():
        mlflow.log_artifact(str(path), None if name == "figures" else "plots")
    report = case.context.download("report")
    mlflow.log_artifact(str(report.rename(case.context.scratch / "report.json")))
    mlflow.log_metrics(figures.numbers(case.quality), model_id=logged.id)


def _seconds_left(spec: Spec) -> float:
    return (spec.deadline - datetime.now(UTC)).total_seconds()


if __name__ == "__main__":
    sys.exit(main("register", work))
