"""Raw mail in, the training matrix's features and predictions out."""

from __future__ import annotations

import base64
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from evaluatetest.world import NOW, TEST_ROWS, World
from refit_contract import FEATURES, InternalError
from refit_mlflow_ops import rehearsal
from refit_mlflow_ops.candidate import Candidate
from refit_mlflow_ops.detector import Detector, feature_titles, to_bytes, to_time
from refit_mlflow_ops.split import Split, Train


def detector(world: World) -> Detector:
    """Return the tuned candidate's detector."""
    names = {"model": "tuned.ubj", "choice": "tuned.json"}
    names |= {"tfidf": "tfidf.json", "senders": "senders.parquet"}
    return Detector.load({k: world.folder / v for k, v in names.items()}, threads=1)


def split(world: World) -> Split:
    """Return the world's test split, scored by the tuned candidate."""
    tuned = Candidate.read(name="tuned", model=world.folder / "tuned.ubj", choice=world.folder / "tuned.json")
    matrix = world.folder / "test_matrix.parquet"
    return Split.read(matrix, entities=world.folder / "entities.parquet", boosters={"tuned": tuned.booster(threads=1)})


def check(world: World, *, matrix: Path) -> int:
    """Compare serving with `matrix` for every raw test mail."""
    tuned = Candidate.read(name="tuned", model=world.folder / "tuned.ubj", choice=world.folder / "tuned.json")
    judged = Split.read(
        matrix, entities=world.folder / "entities.parquet", boosters={"tuned": tuned.booster(threads=1)}
    )
    return rehearsal.check_features(
        detector=detector(world),
        mails=world.folder / "test_raw.parquet",
        now=NOW,
        matrix=matrix,
        email_ids=judged.email_ids,
        probabilities=judged.probabilities["tuned"],
    )


def test_serving_equals_the_matrix(world: World) -> None:
    """Every raw test mail gets the prediction that its matrix row gets."""
    assert check(world, matrix=world.folder / "test_matrix.parquet") == TEST_ROWS


def test_a_differing_feature_is_named(world: World, tmp_path: Path) -> None:
    """A matrix that serving cannot reproduce fails with the mail and the feature."""
    table = pl.read_parquet(world.folder / "test_matrix.parquet")
    broken = table.with_columns(pl.col("spam_count") + 3)
    broken.write_parquet(tmp_path / "matrix.parquet")
    with pytest.raises(InternalError, match=r"mail mail-0\d+ has spam_count = .* in the test matrix"):
        check(world, matrix=tmp_path / "matrix.parquet")


def test_raw_mail_without_a_row_is_an_error(world: World, tmp_path: Path) -> None:
    """A mail that is in test_raw but not in the matrix is never passed over."""
    table = pl.read_parquet(world.folder / "test_matrix.parquet")
    table.head(10).write_parquet(tmp_path / "matrix.parquet")
    with pytest.raises(InternalError, match="no row in the test matrix"):
        check(world, matrix=tmp_path / "matrix.parquet")


def test_labels_follow_the_threshold(world: World) -> None:
    """A probability of exactly the threshold is spam, the next smaller one is ham."""
    below = np.nextafter(0.5, 0)
    assert detector(world).labels(np.array([0.5, below, 1.0, 0.0])) == [
        "spam",
        "ham",
        "spam",
        "ham",
    ]


def test_no_mail_gives_no_predictions(world: World) -> None:
    """An empty request is answered with empty columns."""
    loaded = detector(world)
    features = loaded.features([])
    assert features.shape == (0, len(FEATURES))
    assert loaded.probabilities(features).shape == (0,)


def test_mail_without_anything_is_judged(world: World) -> None:
    """No date, no sender, no header, no byte at all: still a probability between 0 and 1."""
    loaded = detector(world)
    got = loaded.probabilities(loaded.features([b"", b"\x00\xff", b"just text", b"From: x\n\nhi"]))
    assert got.shape == (4,)
    assert ((got >= 0) & (got <= 1)).all()


@pytest.mark.parametrize(
    ("value", "encoding", "want"),
    [
        ("Subject: é\n\nx", "text", "Subject: é\n\nx".encode()),
        (b"caf\xe9", "text", b"caf\xe9"),
        (bytearray(b"x"), "base64", b"x"),
        (base64.b64encode(b"caf\xe9").decode(), "base64", b"caf\xe9"),
        (b"caf\xe9".decode("ascii", "surrogateescape"), "text", b"caf\xe9"),
        ("\ud800", "text", b"?"),
    ],
    ids=["string", "bytes", "bytes stay bytes", "base64", "escaped bytes", "no Unicode at all"],
)
def test_raw_mail_comes_as_string_or_bytes(value: object, encoding: str, want: bytes) -> None:
    """Strings are UTF-8, bytes are taken as they are, and nothing raises over odd characters."""
    assert to_bytes([value], encoding=encoding) == [want]


@pytest.mark.parametrize(
    ("value", "encoding", "message"),
    [
        (None, "text", "raw of row 1 is NoneType"),
        (1.5, "text", "raw of row 1 is float"),
        ("not base64!", "base64", "raw of row 1 is not base64"),
        ("x", "gzip", "encoding is 'gzip'; accepted are: text, base64"),
    ],
)
def test_what_is_no_mail_is_refused_by_row(value: object, encoding: str, message: str) -> None:
    """The message names the row, what it held and what is accepted."""
    good = "eA==" if encoding == "base64" else "x"
    with pytest.raises((TypeError, ValueError), match=message):
        to_bytes([good, value], encoding=encoding)


def test_mail_from_the_future_is_dated_by_now(world: World) -> None:
    """A date after `now` is not believed: the mail has the features of `now`, as in training."""
    future = b"From: a@b.example\nDate: Tue, 24 Nov 2026 23:30:00 +0000\n\nhi"
    features = detector(world).features([future], now=NOW)
    assert features[0, FEATURES.index("hour_of_day")] == NOW.hour


@pytest.mark.parametrize(
    ("text", "want"),
    [("", None), ("2026-11-23T05:59:58+00:00", NOW), ("2026-11-23T05:59:58", NOW)],
)
def test_now_comes_as_text(text: str, want: datetime | None) -> None:
    """ISO 8601, UTC unless it says otherwise; nothing means the time of the call."""
    assert to_time(text) == want


def test_what_is_no_time_is_refused() -> None:
    """The message says what was given and what is accepted."""
    with pytest.raises(ValueError, match="now is 'soon'; accepted is an ISO 8601 time"):
        to_time("soon")


def test_titles_show_the_terms(world: World) -> None:
    """A TF-IDF column is shown by its word; the others keep their names."""
    titles = feature_titles(world.folder / "tfidf.json")
    assert len(titles) == len(FEATURES)
    assert titles[0] == "url_count"
    assert any(title.startswith("“money” (tfidf_") for title in titles)


def test_a_split_that_is_not_the_test_split_is_refused(world: World, tmp_path: Path) -> None:
    """Train rows, no rows and double rows are never judged."""
    with pytest.raises(InternalError, match="rows of fit, validation"):
        Split.read(world.folder / "train_matrix.parquet", entities=world.folder / "entities.parquet", boosters={})
    table = pl.read_parquet(world.folder / "test_matrix.parquet")
    for frame, message in ((table.head(0), "no rows"), (table.vstack(table), "more than once")):
        frame.write_parquet(tmp_path / "matrix.parquet")
        with pytest.raises(InternalError, match=message):
            Split.read(tmp_path / "matrix.parquet", entities=world.folder / "entities.parquet", boosters={})


def test_train_knows_its_domains_and_hashes_only(world: World) -> None:
    """Nothing of the test split is among what train is told by."""
    train = Train.read(world.folder / "entities.parquet")
    assert train.hashes.isdisjoint(split(world).groups)
    assert "" not in train.sender_domains
    assert any(domain.startswith("shop") for domain in train.sender_domains)
