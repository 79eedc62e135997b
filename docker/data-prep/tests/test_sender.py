from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from refit_data_prep.sender import History

NOON = datetime(2002, 6, 1, 12, tzinfo=UTC)


def history(*mails: tuple[str, int, int]) -> History:
    """Return the history of mails given as domain, second and label."""
    return History.fit(
        domains=pl.Series([m[0] for m in mails], dtype=pl.String),
        times=pl.Series([NOON + timedelta(seconds=m[1]) for m in mails], dtype=pl.Datetime("us", "UTC")),
        labels=pl.Series([m[2] for m in mails], dtype=pl.Int8),
    )


def known(found: History, domain: str, second: float) -> list[float]:
    """Return what is known of a domain at a second."""
    row: list[float] = found.as_of(pl.Series([domain]), pl.Series([NOON + timedelta(seconds=second)]))[0].tolist()
    return row


def test_only_strictly_earlier_mail_counts() -> None:
    """At its own moment a mail sees neither itself nor another mail of the same moment."""
    found = history(("a.org", 0, 1), ("a.org", 0, 0), ("a.org", 10, 1))

    assert known(found, "a.org", 0) == [0, 0, 0, 0]
    assert known(found, "a.org", 0.000001) == [2, 1, 1, 0.5]
    assert known(found, "a.org", 10) == [2, 1, 1, 0.5]
    assert known(found, "a.org", 11) == [3, 2, 1, np.float32(2 / 3)]


def test_no_history_is_zeros() -> None:
    """A domain never seen and mail without a domain have zeros, whatever else is known."""
    found = history(("a.org", 0, 1), ("", 0, 1))

    assert known(found, "b.org", 99) == [0, 0, 0, 0]
    assert known(found, "", 99) == [0, 0, 0, 0]
    assert known(history(), "a.org", 99) == [0, 0, 0, 0]


def test_it_is_what_counting_by_hand_gives(tmp_path: Path) -> None:
    """On random mails the history equals a brute-force count, also after saving and loading."""
    chance = random.Random(1)
    mails = [(chance.choice(["a", "b", ""]), chance.randrange(50), chance.randrange(2)) for _ in range(300)]
    history(*mails).save(tmp_path / "senders.parquet")
    found = History.load(tmp_path / "senders.parquet")

    for domain, second, _ in mails[:100]:
        labels = [m[2] for m in mails if m[0] == domain != "" and m[1] < second]
        share = sum(labels) / len(labels) if labels else 0.0
        want = [len(labels), sum(labels), len(labels) - sum(labels), np.float32(share)]
        assert known(found, domain, second) == want
