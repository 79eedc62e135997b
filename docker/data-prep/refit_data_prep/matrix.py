"""From mail to the model's input: the same code when training and when serving."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from refit_contract.columns import FEATURES
from refit_data_prep import mail, normalise
from refit_data_prep.engineered import engineered
from refit_data_prep.sender import History
from refit_data_prep.tfidf import Tfidf

MAIL_SCHEMA: Final = pl.Schema(
    {
        "event_timestamp": pl.Datetime("us", "UTC"),
        "sender_domain": pl.String(),
        "subject": pl.String(),
        "body_text": pl.String(),
        "body_html": pl.String(),
        "content_type": pl.String(),
        "x_mailer": pl.String(),
        "received_hop_count": pl.Int32(),
    }
)
"""The columns of train.parquet and test.parquet that features are computed from."""


def mails_of(raw: Sequence[bytes], *, now: datetime | None = None) -> pl.DataFrame:
    """Return raw mails as a frame with the columns of MAIL_SCHEMA, in the same order.

    `now` (aware; the present if None) bounds the times that are believed, and is the time
    of a mail that has no usable one: in serving a mail is judged when it arrives.
    """
    latest = datetime.now(UTC) if now is None else now.astimezone(UTC)
    rows = []
    for content in raw:
        found = mail.parse(content)
        time = mail.event_time(found.date, found.received, latest=latest) or latest
        rows.append(row_of(found, time))
    return pl.DataFrame(rows, schema=MAIL_SCHEMA, orient="row")


def row_of(found: mail.Mail, time: datetime) -> tuple[object, ...]:
    """Return the values of MAIL_SCHEMA for one mail that happened at `time`."""
    return (
        time,
        found.sender_domain,
        found.subject,
        found.body_text,
        found.body_html,
        found.content_type,
        found.x_mailer,
        found.received_hop_count,
    )


def with_body(mails: pl.DataFrame) -> pl.DataFrame:
    """Return `mails` with `body`: the plain body, or the visible text of the HTML one."""
    pairs = zip(mails["body_text"], mails["body_html"], strict=True)
    body = pl.Series("body", [normalise.body_of(*pair) for pair in pairs], dtype=pl.String)
    return mails.with_columns(body)


def text_of(mails: pl.DataFrame) -> pl.Series:
    """Return what TF-IDF reads of `mails` that have `body`: the subject, then the body."""
    text = pl.concat_str(pl.col("subject"), pl.lit("\n"), pl.col("body"))
    return mails.select(text.alias("text")).to_series()


def features_of(mails: pl.DataFrame, *, tfidf: Tfidf, senders: History) -> NDArray[np.float32]:
    """Return the model's input, shape (n, 524), columns in the order of FEATURES.

    `mails` has the columns of MAIL_SCHEMA. These are the values that the features stage
    gets from Feast for the same mails.
    """
    full = with_body(mails)
    matrix = np.concatenate(
        [
            engineered(full).to_numpy(),
            senders.as_of(mails["sender_domain"], mails["event_timestamp"]),
            tfidf.transform(text_of(full)),
        ],
        axis=1,
        dtype=np.float32,
    )
    if matrix.shape[1] != len(FEATURES):
        raise ValueError(f"{matrix.shape[1]} feature columns, not {len(FEATURES)}")
    return np.ascontiguousarray(matrix)
