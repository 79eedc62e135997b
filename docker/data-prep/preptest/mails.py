"""Mails to upload: made ones, and a sample of the real ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import polars as pl

DATASET = Path(__file__).parents[3] / "datasets" / "processed" / "emails" / "all_emails.parquet"
"""The default data of the repository."""

ODD = Path(__file__).parents[1] / "tests" / "cpython" / "data"
"""CPython's folder of messages that broke mail parsers, pictures and sounds among them."""

START = datetime(2002, 6, 1, tzinfo=UTC)
"""When the first made mail was sent."""

_WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("n", "r", "st", "l")]


def sample(count: int) -> pl.DataFrame:
    """Return `count` mails of the default data, evenly spread over its folders."""
    mails = pl.read_parquet(DATASET)
    return mails[[i * len(mails) // count for i in range(count)]]


def odd() -> dict[str, bytes]:
    """Return every file of ODD by its name."""
    return {path.name: path.read_bytes() for path in sorted(ODD.iterdir())}


def sentence(number: int, *, words: int = 60) -> str:
    """Return text that is the same for the same `number` and like that of no other."""
    return " ".join(random.Random(number).choices(_WORDS, k=words))  # noqa: S311 - not a secret


def message(
    number: int,
    *,
    body: str | None = None,
    date: datetime | str | None = None,
    received: datetime | None = None,
    sender: str = "someone@example.org",
) -> bytes:
    """Return a raw mail; without `date` it was sent `number` hours after START."""
    when = START + timedelta(hours=number) if date is None else date
    claimed = format_datetime(when) if isinstance(when, datetime) else when
    hop = f"Received: from a by b; {format_datetime(received)}\n" if received else ""
    text = sentence(number) if body is None else body
    head = f"From: A Person <{sender}>\nSubject: mail {sentence(number, words=3)}\nDate: {claimed}\n"
    return f"{hop}{head}\n{text}\n".encode()


def uploaded(path: Path, mails: Sequence[bytes], *, labels: Sequence[Any] | None = None, **columns: Any) -> Path:
    """Write raw `mails` to the parquet file `path`; every second one is spam unless `labels` say otherwise."""
    given = labels if labels is not None else ["spam" if i % 2 else "ham" for i in range(len(mails))]
    pl.DataFrame({"raw": list(mails), "label": given, **columns}).write_parquet(path)
    return path
