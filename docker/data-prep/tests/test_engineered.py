from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from refit_data_prep.engineered import COLUMNS, engineered
from refit_data_prep.matrix import MAIL_SCHEMA, with_body

MAIL = {
    "event_timestamp": datetime(2002, 6, 1, 22, 30, tzinfo=UTC),
    "sender_domain": "example.org",
    "subject": "",
    "body_text": "",
    "body_html": "",
    "content_type": "text/plain",
    "x_mailer": "",
    "received_hop_count": 3,
}


def computed(**fields: Any) -> dict[str, float]:
    """Return the 20 features of one mail."""
    mails = pl.DataFrame([{**MAIL, **fields}], schema=MAIL_SCHEMA)
    return engineered(with_body(mails)).row(0, named=True)


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        ({"body_text": "see http://a.org and HTTPS://b.org or www.c.org"}, {"url_count": 3}),
        ({"body_html": '<a href="http://a.org">here</a>'}, {"url_count": 1, "has_html": 1}),
        ({"body_text": "plain http://a.org", "body_html": '<a href="http://a.org">'}, {"url_count": 1}),
        ({"body_text": "ABcd 12"}, {"uppercase_ratio": 0.5, "word_count": 2, "char_count": 7}),
        ({"body_text": "12 !?"}, {"uppercase_ratio": 0, "exclamation_count": 1, "question_mark_count": 1}),
        ({"subject": "Free!!", "body_text": "click here"}, {"exclamation_count": 2, "spam_keyword_count": 2}),
        ({"body_html": "<p>UNSUBSCRIBE</p>"}, {"has_unsubscribe": 1}),
        ({"body_html": "<b>abcde</b>"}, {"html_to_text_ratio": 2.4, "char_count": 5, "word_count": 1}),
        ({"subject": "Re: Fwd: x"}, {"subject_length": 10, "subject_has_re": 1, "subject_has_fwd": 1}),
        ({"subject": "FW: more: x"}, {"subject_has_re": 0, "subject_has_fwd": 1}),
        ({"x_mailer": "Mailer"}, {"has_x_mailer": 1, "sender_domain_length": 11, "received_hop_count": 3}),
        ({}, {"hour_of_day": 22, "day_of_week": 5, "is_weekend": 1, "is_night_hour": 1, "has_html": 0}),
        (
            {"event_timestamp": datetime(2002, 6, 3, 6, 0, tzinfo=UTC)},
            {"hour_of_day": 6, "day_of_week": 0, "is_weekend": 0, "is_night_hour": 0},
        ),
    ],
)
def test_each_feature_says_what_its_name_says(fields: dict[str, Any], want: dict[str, float]) -> None:
    """Every feature of the table is checked on a mail made for it; times are those of UTC."""
    found = computed(**fields)

    assert {name: found[name] for name in want} == pytest.approx(want)


def test_an_empty_mail_has_all_features() -> None:
    """A mail of nothing has 20 finite numbers: no division by nothing."""
    found = computed(sender_domain="")

    assert tuple(found) == COLUMNS
    assert all(value == value and abs(value) < 100 for value in found.values())
