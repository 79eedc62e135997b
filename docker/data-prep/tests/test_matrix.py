from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from preptest.mails import message
from preptest.stages import Attempt
from refit_contract.columns import FEATURES
from refit_data_prep.matrix import MAIL_SCHEMA, features_of, mails_of
from refit_data_prep.sender import History
from refit_data_prep.tfidf import Tfidf

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_raw_mail_gives_the_matrix_that_feast_returned(prepared: Attempt, featured: Attempt) -> None:
    """What the served model computes from raw test mail is the test matrix, bit for bit."""
    tfidf, senders = fitted(featured)
    raw = prepared.table("test_raw")

    served = features_of(mails_of(raw["raw"].to_list()), tfidf=tfidf, senders=senders)

    matrix = raw.select("email_id").join(
        featured.table("test_matrix"), on="email_id", how="left", maintain_order="left"
    )
    assert (served == matrix.select(FEATURES).to_numpy()).all()


def test_each_mail_is_judged_on_its_own(prepared: Attempt, featured: Attempt) -> None:
    """A mail's features are the same alone and among others, and none gives no rows."""
    tfidf, senders = fitted(featured)
    mails = prepared.table("test")

    together = features_of(mails, tfidf=tfidf, senders=senders)

    assert together.dtype == np.float32
    assert together.flags.c_contiguous
    assert (features_of(mails[3:4], tfidf=tfidf, senders=senders)[0] == together[3]).all()
    assert features_of(mails[:0], tfidf=tfidf, senders=senders).shape == (0, 524)


def test_mail_without_a_usable_time_happened_now() -> None:
    """In serving, mail without a date, or dated in the future, is judged when it arrives."""
    mails = mails_of([message(0, date="tomorrow"), message(0, date=datetime(2028, 1, 1, tzinfo=UTC)), b""], now=NOW)

    assert mails.schema == MAIL_SCHEMA
    assert mails["event_timestamp"].to_list() == [NOW] * 3
    assert mails_of([], now=NOW).schema == MAIL_SCHEMA
    assert mails_of([b"text"])["event_timestamp"][0] > NOW


def test_serving_needs_few_libraries() -> None:
    """The modules that the model carries import neither Feast nor scikit-learn nor pandas."""
    heavy = ("feast", "sklearn", "pandas", "ray", "mlflow", "duckdb", "boto3", "jsonschema")
    code = f"import refit_data_prep.matrix, sys; print([m for m in {heavy} if m in sys.modules])"
    root = Path(__file__).parents[2]
    path = f"{root}/contract:{root}/data-prep"

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": path}
    )

    assert done.stdout.strip() == "[]"


def fitted(featured: Attempt) -> tuple[Tfidf, History]:
    """Return what the features stage fitted."""
    tfidf = Tfidf.load(featured.folder / "tfidf.json")
    return tfidf, History.load(featured.folder / "senders.parquet")


def test_the_frame_may_carry_more_columns(prepared: Attempt, featured: Attempt) -> None:
    """Ids, labels and parts in the frame are no features: taking them away changes nothing."""
    tfidf, senders = fitted(featured)
    mails = prepared.table("test")

    lean = features_of(mails.select(list(MAIL_SCHEMA)), tfidf=tfidf, senders=senders)
    flipped = features_of(mails.with_columns(1 - pl.col("label")), tfidf=tfidf, senders=senders)

    assert (lean == flipped).all()
