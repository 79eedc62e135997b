"""A small world for the tests: mails, their matrix, two fitted candidates and a spec."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import xgboost

from refit_contract import FEATURES
from refit_contract.store import Store
from refit_data_prep.matrix import features_of, mails_of, text_of, with_body
from refit_data_prep.sender import History
from refit_data_prep.tfidf import Tfidf

ROWS, TEST_ROWS = 600, 200
NOW = datetime(2026, 11, 23, 5, 59, 58, tzinfo=UTC)
SPAM_WORDS = ("free", "money", "click", "winner", "offer", "credit", "prize", "cash")
HAM_WORDS = ("meeting", "patch", "kernel", "list", "release", "lunch", "review", "thanks")
COMMON = ("the", "to", "of", "and", "in", "is", "it", "you", "that", "for", "on", "are", "with")


@dataclass(frozen=True, kw_only=True)
class World:
    """The files that a spec names, in one folder, and the raw test mails behind them."""

    folder: Path
    raw: list[bytes]
    labels: np.ndarray[Any, np.dtype[np.int8]]

    def spec(self, folder: Path, *, attempt: int = 1, leave_out: tuple[str, ...] = ()) -> str:
        """Write a spec whose output is `folder` and return its URI; `leave_out` names inputs."""
        run = "r-20261123-060000-0a1b2c3d"
        inputs = {name: file for name, file in FILES.items() if name not in leave_out}
        spec = {
            "run": run,
            "stage": "register",
            "attempt": attempt,
            "inputs": {name: _artifact(self.folder / file) for name, file in inputs.items()},
            "output": f"{folder.as_uri()}/",
            "parameters": {
                "entity_data_path": "mails.parquet",
                "test_split_ratio": 0.2,
                "num_hpo_trials": 3,
                "f1_threshold": 0.85,
                "model_name": "spam-detector",
                "seed": 42,
                "split": "hash",
                "num_workers": 1,
            },
            "image": "local",
            "commit": "0123abc",
            "deadline": (datetime.now(UTC) + timedelta(minutes=10)).isoformat(),
            "data": {
                "landed_at": NOW.isoformat(),
                "digest": "sha256:" + "0" * 64,
                "uri": "s3://landing/mails.parquet",
            },
        }
        target = f"{folder.as_uri()}/spec.json"
        Store(env={}).put_json(target, spec)
        return target


FILES = {
    "entities": "entities.parquet",
    "train_matrix": "train_matrix.parquet",
    "test_matrix": "test_matrix.parquet",
    "test_raw": "test_raw.parquet",
    "tfidf": "tfidf.json",
    "senders": "senders.parquet",
    "baseline": "baseline.ubj",
    "baseline_choice": "baseline.json",
    "tuned": "tuned.ubj",
    "tuned_choice": "tuned.json",
    "trials": "trials.json",
    "report": "report.json",
}


def _artifact(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return {"uri": path.as_uri(), "digest": digest, "bytes": len(content)}


def build(folder: Path) -> World:
    """Build the world in `folder`: the same one every time."""
    rng = np.random.default_rng(7)
    labels = (rng.random(ROWS) < 0.4).astype(np.int8)
    raw = [_mail(rng, i, spam=bool(label)) for i, label in enumerate(labels)]
    mails = with_body(mails_of(raw))
    part = np.repeat(["fit", "validation", "test"], [ROWS - TEST_ROWS - 100, 100, TEST_ROWS])
    fit = pl.Series(part == "fit")
    known = mails.filter(fit)
    tfidf = Tfidf.fit([text_of(known)])
    senders = History.fit(
        domains=known["sender_domain"],
        times=known["event_timestamp"],
        labels=pl.Series(labels).filter(fit),
    )
    features = features_of(mails, tfidf=tfidf, senders=senders)
    keys = pl.DataFrame(
        {
            "email_id": [f"mail-{i:04}" for i in range(ROWS)],
            "event_timestamp": mails["event_timestamp"],
            "sender_domain": mails["sender_domain"],
            "label": labels,
            "part": [str(p) for p in part],
            "group": [f"{i:032x}" for i in range(ROWS)],
            "text_hash": [f"{i + ROWS:032x}" for i in range(ROWS)],
        }
    )
    _write(folder, keys, features, raw)
    tfidf.save(folder / "tfidf.json")
    senders.save(folder / "senders.parquet")
    train = part != "test"
    for name, rounds, f1 in (("baseline", 6, 0.95), ("tuned", 30, 0.97)):
        _candidate(folder, name, features[train], labels[train], rounds=rounds, f1=f1)
    test = part == "test"
    return World(
        folder=folder,
        raw=[mail for mail, keep in zip(raw, test, strict=True) if keep],
        labels=labels[test],
    )


def _mail(rng: np.random.Generator, index: int, *, spam: bool) -> bytes:
    words = rng.choice(COMMON, 30).tolist()
    # A fifth of the words come from the wrong side, so that no model is perfect.
    for _ in range(5):
        own = SPAM_WORDS if spam == (rng.random() > 0.2) else HAM_WORDS
        words.insert(int(rng.integers(30)), str(rng.choice(own)))
    domain = f"{'shop' if spam else 'list'}{int(rng.integers(40))}.example"
    if rng.random() < 0.5:
        domain = f"mixed{int(rng.integers(400))}.example"
    date = datetime(2002, 1, 1, tzinfo=UTC) + timedelta(hours=index)
    head = (
        f"From: Someone <s{index}@{domain}>\nSubject: {' '.join(words[:4])} {index}\n"
        f"Date: {format_datetime(date)}\nContent-Type: text/plain; charset=utf-8\n\n"
    )
    # Now and then a mail is not what its charset says.
    encoding = "latin-1" if index % 50 == 0 else "utf-8"
    return head.encode() + f"{' '.join(words)} café\n".encode(encoding)


def _write(
    folder: Path,
    keys: pl.DataFrame,
    features: np.ndarray[Any, np.dtype[np.float32]],
    raw: list[bytes],
) -> None:
    matrix = keys.drop("text_hash").hstack(pl.DataFrame(features, schema=list(FEATURES)))
    test = pl.col("part") == "test"
    matrix.filter(test).write_parquet(folder / "test_matrix.parquet")
    matrix.filter(~test).write_parquet(folder / "train_matrix.parquet")
    keys.write_parquet(folder / "entities.parquet")
    mails = keys.with_columns(pl.Series("raw", raw, dtype=pl.Binary)).filter(test)
    # Another order than the matrix: rows are told by email_id, not by place.
    mails.select("email_id", "raw").reverse().write_parquet(folder / "test_raw.parquet")
    (folder / "report.json").write_text('{"rows": 600}')


def _candidate(
    folder: Path,
    name: str,
    features: np.ndarray[Any, np.dtype[np.float32]],
    labels: np.ndarray[Any, np.dtype[np.int8]],
    *,
    rounds: int,
    f1: float,
) -> None:
    parameters = {
        "max_depth": 4,
        "eta": 0.3,
        "objective": "binary:logistic",
        "seed": 1,
        "nthread": 2,
    }
    data = xgboost.DMatrix(features, label=labels, feature_names=list(FEATURES))
    booster = xgboost.train(parameters, data, num_boost_round=rounds)
    booster.save_model(folder / f"{name}.ubj")
    choice = {
        "parameters": parameters,
        "rounds": rounds,
        "threshold": 0.5,
        "seed": 1,
        "validation": {"f1": f1, "log_loss": 0.1},
    }
    (folder / f"{name}.json").write_text(json.dumps(choice))
    trials: list[dict[str, Any]] = [{"trial": i, "f1": 0.95 + i / 100, "stopped_early": i == 1} for i in range(3)]
    trials.append({"trial": 3, "stopped_early": False, "ended": "failed"})
    (folder / "trials.json").write_text(json.dumps({"best_trial": 2, "trials": trials}))
