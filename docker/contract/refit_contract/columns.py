"""The 524 feature columns by view: one order, for training and for serving."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

TFIDF_TERMS: Final = 500
"""Number of TF-IDF columns; a smaller vocabulary leaves the last ones zero."""

VIEWS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "email_text_features": (
            "url_count",
            "uppercase_ratio",
            "exclamation_count",
            "question_mark_count",
            "word_count",
            "char_count",
            "spam_keyword_count",
            "has_unsubscribe",
        ),
        "email_structural_features": (
            "has_html",
            "html_to_text_ratio",
            "subject_length",
            "subject_has_re",
            "subject_has_fwd",
            "has_x_mailer",
            "sender_domain_length",
            "received_hop_count",
        ),
        "email_temporal_features": (
            "hour_of_day",
            "day_of_week",
            "is_weekend",
            "is_night_hour",
        ),
        "sender_domain_features": (
            "email_count",
            "spam_count",
            "ham_count",
            "spam_ratio",
        ),
        "email_tfidf_features": tuple(f"tfidf_{i}" for i in range(TFIDF_TERMS)),
    }
)
"""Feature columns of each Feast view, in matrix order."""

FEATURES: Final[tuple[str, ...]] = tuple(name for view in VIEWS.values() for name in view)
"""All 524 feature columns, in the order of every matrix and of the model's input."""

KEYS: Final = ("email_id", "event_timestamp", "sender_domain", "label", "part", "group")
"""The columns of a matrix that come before its features; none of them is a feature."""
