"""What was known of a sender's domain before a mail came.

A mail sees the mails of its domain that came strictly before it. A domain never seen,
and mail without a sender's domain, have a history of zeros: nothing is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from refit_contract.columns import VIEWS

COLUMNS: Final = VIEWS["sender_domain_features"]
"""email_count, spam_count, ham_count, spam_ratio."""

_TIME: Final = pl.Datetime("us", "UTC")
_SCHEMA: Final = pl.Schema(
    {
        "sender_domain": pl.String(),
        "event_timestamp": _TIME,
        "email_count": pl.UInt32(),
        "spam_count": pl.UInt32(),
        "ham_count": pl.UInt32(),
    }
)


@dataclass(frozen=True, kw_only=True)
class History:
    """The counts of each domain after each of its moments.

    `states` has one row for each domain and time, sorted by both: sender_domain,
    event_timestamp, and email_count, spam_count, ham_count including the mails at that
    time.
    """

    states: pl.DataFrame

    @classmethod
    def fit(cls, *, domains: pl.Series, times: pl.Series, labels: pl.Series) -> History:
        """Return the history of the given mails (label 1 is spam), in any order."""
        mails = pl.DataFrame(
            {
                "sender_domain": domains.cast(pl.String),
                "event_timestamp": times.cast(_TIME),
                "spam": labels.cast(pl.UInt32),
            }
        )
        states = (
            mails.filter(pl.col("sender_domain") != "")
            .group_by("sender_domain", "event_timestamp")
            .agg(pl.len().cast(pl.UInt32).alias("emails"), pl.col("spam").sum().cast(pl.UInt32))
            .sort("sender_domain", "event_timestamp")
            .select(
                "sender_domain",
                "event_timestamp",
                pl.col("emails").cum_sum().over("sender_domain").alias("email_count"),
                pl.col("spam").cum_sum().over("sender_domain").alias("spam_count"),
            )
            .with_columns((pl.col("email_count") - pl.col("spam_count")).alias("ham_count"))
            .cast(_SCHEMA)
        )
        return cls(states=states)

    def as_of(self, domains: pl.Series, times: pl.Series) -> NDArray[np.float32]:
        """Return the four columns for mails of `domains` at `times`, shape (n, 4)."""
        asked = pl.DataFrame(
            {"sender_domain": domains.cast(pl.String), "event_timestamp": times.cast(_TIME)}
        ).with_row_index("row")
        joined = (
            asked.sort("event_timestamp")
            .join_asof(
                self.states.sort("event_timestamp"),
                on="event_timestamp",
                by="sender_domain",
                strategy="backward",
                allow_exact_matches=False,
                check_sortedness=False,
            )
            .sort("row")
        )
        return ratios(joined).to_numpy().astype(np.float32, order="C")

    def save(self, path: Path) -> None:
        """Write the history as parquet."""
        self.states.write_parquet(path, compression="zstd")

    @classmethod
    def load(cls, path: Path) -> History:
        """Return the history that `save` wrote."""
        return cls(states=pl.read_parquet(path).select(list(_SCHEMA)).cast(_SCHEMA))


def ratios(counts: pl.DataFrame) -> pl.DataFrame:
    """Return the four float32 columns of rows with counts; null counts are zero."""
    email, spam = pl.col("email_count"), pl.col("spam_count")
    return (
        counts.select(pl.col(name).fill_null(0).cast(pl.Float64) for name in COLUMNS[:3])
        .with_columns(
            pl.when(email > 0).then(spam / email).otherwise(0.0).alias("spam_ratio"),
        )
        .select(pl.col(name).cast(pl.Float32) for name in COLUMNS)
    )
