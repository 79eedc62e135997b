"""The 20 features that need no fitting: text, structure and time, in polars."""

from __future__ import annotations

from typing import Final

import polars as pl

from refit_contract.columns import VIEWS

SPAM_KEYWORDS: Final = (
    "100%",
    "act now",
    "cash",
    "click here",
    "congratulations",
    "credit",
    "dear friend",
    "discount",
    "earn",
    "free",
    "guarantee",
    "income",
    "investment",
    "limited time",
    "lose weight",
    "lowest price",
    "million",
    "money",
    "mortgage",
    "offer",
    "opt-in",
    "order now",
    "per month",
    "prize",
    "profit",
    "remove",
    "risk",
    "sex",
    "urgent",
    "viagra",
    "winner",
)
"""Phrases counted by spam_keyword_count, as substrings of the lower-case text."""

COLUMNS: Final = (
    *VIEWS["email_text_features"],
    *VIEWS["email_structural_features"],
    *VIEWS["email_temporal_features"],
)
"""The 20 columns, in matrix order."""

_NIGHT_ENDS, _NIGHT_BEGINS = 6, 22
_SATURDAY = 6


def engineered(mails: pl.DataFrame) -> pl.DataFrame:
    """Return the 20 features of `mails`, one float32 column each, one row a mail.

    `mails` has the feature columns of train.parquet and `body`, the readable body
    (`normalise.body_of`). Hours and days are those of UTC, Monday is 0;
    a word is a run of letters, marks, decimal digits and connectors of Unicode.
    """
    return mails.select(*_text(), *_structural(), *_temporal()).select(
        pl.col(name).cast(pl.Float32) for name in COLUMNS
    )


def _text() -> list[pl.Expr]:
    body, subject = pl.col("body"), pl.col("subject")
    both = pl.concat_str(subject, pl.lit("\n"), body)
    plain = pl.col("body_text").str.contains(r"\S")
    source = pl.when(plain).then("body_text").otherwise("body_html")
    letters = body.str.count_matches(r"\p{L}")
    unsubscribe = pl.concat_str(pl.col("body_text"), pl.col("body_html")).str.to_lowercase()
    return [
        source.str.count_matches(r"(?i)https?://|\bwww\.").alias("url_count"),
        (body.str.count_matches(r"\p{Lu}") / letters.clip(lower_bound=1)).alias("uppercase_ratio"),
        both.str.count_matches("!", literal=True).alias("exclamation_count"),
        both.str.count_matches("?", literal=True).alias("question_mark_count"),
        body.str.count_matches(r"\w+").alias("word_count"),
        body.str.len_chars().alias("char_count"),
        _keywords(both.str.to_lowercase()).alias("spam_keyword_count"),
        unsubscribe.str.contains("unsubscribe", literal=True).alias("has_unsubscribe"),
    ]


def _keywords(text: pl.Expr) -> pl.Expr:
    # Longer phrases first: the one pattern finds "click here" before any part of it.
    ordered = sorted(SPAM_KEYWORDS, key=lambda k: (-len(k), k))
    return text.str.count_matches("|".join(ordered))


def _structural() -> list[pl.Expr]:
    page, subject = pl.col("body_html"), pl.col("subject")
    has_html = page.str.contains(r"\S")
    ratio = page.str.len_chars() / pl.col("body").str.len_chars().clip(lower_bound=1)
    return [
        has_html.alias("has_html"),
        pl.when(has_html).then(ratio).otherwise(0.0).alias("html_to_text_ratio"),
        subject.str.len_chars().alias("subject_length"),
        subject.str.contains(r"(?i)\bre:").alias("subject_has_re"),
        subject.str.contains(r"(?i)\bfwd?:").alias("subject_has_fwd"),
        pl.col("x_mailer").str.contains(r"\S").alias("has_x_mailer"),
        pl.col("sender_domain").str.len_chars().alias("sender_domain_length"),
        pl.col("received_hop_count"),
    ]


def _temporal() -> list[pl.Expr]:
    time = pl.col("event_timestamp")
    hour, day = time.dt.hour(), time.dt.weekday()
    return [
        hour.alias("hour_of_day"),
        (day - 1).alias("day_of_week"),
        (day >= _SATURDAY).alias("is_weekend"),
        ((hour < _NIGHT_ENDS) | (hour >= _NIGHT_BEGINS)).alias("is_night_hour"),
    ]
