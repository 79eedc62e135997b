"""The work of a run as one script in one process: `plain.py FOLDER DATA.parquet`.

No events, no Feast, no Ray, no platform: what somebody who knows the data would write by hand, on
the same functions and with the same models. What it measures goes to standard output as JSON:
seconds for each part and in all, CPU seconds, peak memory and the F1 on the test split. FOLDER
holds MLflow's store, which stays from one call to the next, and the files of this call.
"""

from __future__ import annotations

import time

_BEGAN = time.monotonic()

import json  # noqa: E402 - the clock runs before any import
import os  # noqa: E402
import resource  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from contextlib import closing, contextmanager  # noqa: E402
from dataclasses import dataclass, field  # noqa: E402
from datetime import UTC, datetime  # noqa: E402
from pathlib import Path  # noqa: E402

ROOT = Path(__file__).parents[2]
sys.path[:0] = [
    *(str(ROOT / "docker" / name) for name in ("contract", "data-prep", "ray-train", "mlflow-ops")),
    str(ROOT / "test" / "bench" / "work"),
]

from refit_contract import cpus  # noqa: E402

CPUS = cpus.limit_threads(env=os.environ)

import halving  # noqa: E402
import mlflow  # noqa: E402
import mlflow.pyfunc  # noqa: E402
import numpy as np  # noqa: E402
import polars as pl  # noqa: E402

from refit_contract.columns import FEATURES  # noqa: E402
from refit_data_prep import mail, normalise, split  # noqa: E402
from refit_data_prep.matrix import MAIL_SCHEMA, features_of, row_of, text_of, with_body  # noqa: E402
from refit_data_prep.near import Signatures, signature  # noqa: E402
from refit_data_prep.sender import History  # noqa: E402
from refit_data_prep.tfidf import Tfidf  # noqa: E402
from refit_data_prep.upload import Row, Upload  # noqa: E402
from refit_mlflow_ops import candidate, champion, figures, model, plots  # noqa: E402
from refit_mlflow_ops.detector import feature_titles  # noqa: E402
from refit_mlflow_ops.split import Split  # noqa: E402
from refit_ray_train import booster, trials  # noqa: E402
from refit_ray_train.choice import Choice  # noqa: E402
from refit_ray_train.matrix import Matrix  # noqa: E402

SEED, RATIO, TRIALS = 42, 0.2, 20


@dataclass
class Clock:
    """Seconds for each part."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the block as the part `name`."""
        began = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - began, 3)


@dataclass
class Data:
    """The mails that stay, with their parts, and the matrix of all of them."""

    mails: pl.DataFrame
    tfidf: Tfidf
    senders: History
    features: np.ndarray

    def part(self, *names: str) -> np.ndarray:
        """Return the rows of these parts."""
        return self.mails["part"].is_in(names).to_numpy()


def parse(path: Path, folder: Path, latest: datetime) -> tuple[pl.DataFrame, np.ndarray]:
    """Return all mails that can be used, oldest first, and the group of each."""
    rows: list[tuple[object, ...]] = []
    with closing(Signatures(folder / "signatures")) as signatures:
        for row in (row for rows in Upload(path, name=path.name).batches() for row in rows):
            rows.append(_row(row, latest, signatures))
        schema = {**MAIL_SCHEMA, "email_id": pl.String(), "label": pl.Int8(), "text_hash": pl.String()}
        mails = pl.DataFrame(rows, schema=schema, orient="row").with_row_index("row")
        usable = mails.filter(pl.col("event_timestamp").is_not_null() & pl.col("label").is_not_null())
        kept = usable.sort("event_timestamp", "text_hash").unique("text_hash", keep="first", maintain_order=True)
        order = kept["row"].to_numpy().astype(np.int64)
        return kept, order[signatures.groups(order)]


def _row(row: Row, latest: datetime, signatures: Signatures) -> tuple[object, ...]:
    subject = normalise.canonical(row.mail.subject)
    body = normalise.canonical(normalise.body_of(row.mail.body_text, row.mail.body_html))
    signatures.append(signature(body if body.count(" ") >= 3 else f"{subject} {body}").tobytes())
    time_of = mail.event_time(row.mail.date, row.mail.received, latest=latest) if subject or body else None
    values = row_of(row.mail, time_of)  # type: ignore[arg-type]
    return *values, row.email_id, row.label, normalise.content_hash(subject, body)


def featured(mails: pl.DataFrame, groups: np.ndarray) -> Data:
    """Split by group, fit TF-IDF and the senders' history on the part "fit", and compute every feature."""
    names = dict(zip(mails["row"], mails["text_hash"], strict=True))
    group = [names[g] for g in groups]
    mails = mails.with_columns(
        pl.Series("group", group), pl.Series("part", split.by_hash(group, ratio=RATIO, seed=SEED))
    ).sort("event_timestamp", "email_id")
    fit = mails.filter(pl.col("part") == split.FIT)
    tfidf = Tfidf.fit([text_of(with_body(fit))])
    senders = History.fit(domains=fit["sender_domain"], times=fit["event_timestamp"], labels=fit["label"])
    return Data(mails=mails, tfidf=tfidf, senders=senders, features=features_of(mails, tfidf=tfidf, senders=senders))


def chosen(data: Matrix, parameters: booster.Parameters, fit: booster.Fit, path: Path) -> candidate.Candidate:
    """Grow the model of a choice on all of train, and keep it."""
    path.write_bytes(booster.refit(data, parameters=parameters, rounds=fit.rounds, seed=SEED, threads=CPUS))
    choice = Choice(parameters=parameters, rounds=fit.rounds, seed=SEED, validation=fit.figures)
    return candidate.Candidate.read(name=path.stem, model=path, choice=choice.write(path.with_suffix(".json")))


def main(store: Path, path: Path) -> None:
    """Do the work and print what it took."""
    clock = Clock({"import": round(time.monotonic() - _BEGAN, 3)})
    landed = datetime.now(UTC)
    folder = Path(tempfile.mkdtemp(dir=store))
    with clock.part("parse, deduplicate"):
        mails, groups = parse(path, folder, landed)
    with clock.part("split, features"):
        data = featured(mails, groups)
    train = data.part(split.FIT, split.VALIDATION)
    matrix = Matrix(
        features=data.features[train],
        labels=data.mails["label"].to_numpy()[train].astype(np.float32),
        fit=data.part(split.FIT)[train],
    )
    with clock.part("baseline"):
        pool = booster.Pool(matrix, threads=CPUS)
        parameters = booster.Parameters()
        fit = booster.choose_rounds(booster.Boosting(parameters=parameters, pool=pool, seed=SEED, threads=CPUS))
        baseline = chosen(matrix, parameters, fit, folder / "baseline.ubj")
    with clock.part("trials"):
        tried = halving.search(matrix, trials=TRIALS, at_once=CPUS, threads=1, seed=SEED)
    with clock.part("refit"):
        winner = halving.best(tried)
        tuned = chosen(matrix, winner.parameters, winner.fit, folder / "tuned.ubj")
    with clock.part("evaluate"):
        judged = judge(data, *candidate.pick(baseline, tuned))
    with clock.part("log, register"):
        version = log(store, folder, data, judged, tried)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(  # noqa: T201 - what it measured is its output
        json.dumps(
            {
                "seconds": clock.seconds,
                "all": round(time.monotonic() - _BEGAN, 3),
                "cpu": round(sum(u.ru_utime + u.ru_stime for u in used), 3),
                "rss_mib": used[0].ru_maxrss / 1024,
                "f1": judged.quality["f1"],
                "stopped_early": sum(t.stopped for t in tried),
                "version": version,
            }
        )
    )


@dataclass
class Judged:
    """The evaluation: the two candidates on the test split, and the winner's figures."""

    candidate: candidate.Candidate
    winner: plots.Judged
    other: plots.Judged
    split: Split
    quality: dict[str, object]


def judge(data: Data, first: candidate.Candidate, second: candidate.Candidate) -> Judged:
    """Score the test split with both candidates and compute every figure of the winner."""
    test = data.part(split.TEST)
    mails, features = data.mails.filter(test), data.features[test]
    winner, other = (
        plots.Judged(
            name=c.name, probabilities=candidate.predict(c.booster(threads=CPUS), features), threshold=c.threshold
        )
        for c in (first, second)
    )
    judged = Split(
        email_ids=mails["email_id"].to_list(),
        labels=mails["label"].to_numpy(),
        groups=mails["group"].to_numpy(),
        text_hashes=mails["text_hash"].to_numpy(),
        sender_domains=mails["sender_domain"].to_numpy(),
        probabilities={j.name: j.probabilities for j in (winner, other)},
    )
    seen = set(data.mails.filter(~test)["sender_domain"]) - {""}
    quality = figures.of_quality(split=judged, winner=winner, other=other, seen_domains=seen, seed=SEED)
    return Judged(candidate=first, winner=winner, other=other, split=judged, quality=quality)


def log(store: Path, folder: Path, data: Data, judged: Judged, tried: list[halving.Tried]) -> str:
    """Draw the pictures, log all to MLflow and register the model; return its version."""
    files = model_files(folder, data, judged)
    table = folder / "trials.json"
    table.write_text(json.dumps(trials.json_of([trial(t) for t in tried], best_trial=halving.best(tried).number)))
    pictures = folder / "plots"
    pictures.mkdir()
    plots.draw(
        folder=pictures,
        labels=judged.split.labels,
        winner=judged.winner,
        other=judged.other,
        gains=candidate.gains(judged.candidate.booster(threads=1), titles=feature_titles(files["tfidf"])),
        trials=plots.read_trials(table),
    )
    mlflow.set_tracking_uri(f"sqlite:///{store}/mlflow.db")
    found = mlflow.get_experiment_by_name("plain")
    experiment = found.experiment_id if found else mlflow.create_experiment("plain", (store / "artifacts").as_uri())
    with mlflow.start_run(experiment_id=experiment) as run:
        mlflow.log_metrics(figures.numbers(judged.quality))
        mlflow.log_artifacts(str(pictures), "plots")
        mlflow.log_artifact(str(table))
        logged = model.log(
            files=files,
            threshold=judged.winner.threshold,
            tags={"call": folder.name},
            params=judged.candidate.choice["parameters"],
            experiment_id=experiment,
        )
    return str(mlflow.register_model(logged.uri, "plain", tags={"run": run.info.run_id}).version)


def model_files(folder: Path, data: Data, judged: Judged) -> dict[str, Path]:
    """Write the files of the served model."""
    train = data.mails.filter(data.part(split.FIT, split.VALIDATION))
    files = {
        "model": judged.candidate.model,
        "choice": judged.candidate.model.with_suffix(".json"),
        "tfidf": folder / "tfidf.json",
        "senders": folder / "senders.parquet",
        "train_groups": champion.write_groups([*train["group"], *train["text_hash"]], folder / "groups.parquet"),
    }
    data.tfidf.save(files["tfidf"])
    data.senders.save(files["senders"])
    return files


def trial(tried: halving.Tried) -> trials.Trial:
    """Return a trial as the tune stage keeps it."""
    return trials.Trial(
        number=tried.number,
        parameters=tried.parameters,
        points=tried.fit.points,
        rounds=tried.fit.rounds,
        figures=tried.fit.figures,
        ended="stopped" if tried.stopped else "converged",
        seconds=0,
    )


if __name__ == "__main__":
    assert len(FEATURES) == 524  # noqa: S101 - a script's own sanity
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
