"""Mails a second, from raw mail to TF-IDF: `rate.py DATA.parquet RUNS`.

Ours beside the standard library's `email` and scikit-learn, turn by turn in one process on the
same cores. The output is JSON: the rates of both, the share of mails whose words are equal, and
how many of those have the same weights.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT / "docker" / name) for name in ("contract", "data-prep")]

from refit_contract import cpus  # noqa: E402 - the path comes first

CPUS = cpus.limit_threads(env=os.environ)

import numpy as np  # noqa: E402
import polars as pl  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: E402

from refit_data_prep import mail, normalise  # noqa: E402
from refit_data_prep.matrix import MAIL_SCHEMA, row_of, text_of, with_body  # noqa: E402
from refit_data_prep.spread import spread  # noqa: E402
from refit_data_prep.tfidf import TERM, Tfidf  # noqa: E402
from refit_data_prep.upload import BATCH  # noqa: E402

_LANDED = datetime(2026, 1, 1, tzinfo=UTC)
_TERM = r"\w\w+"


def ours(raw: list[bytes]) -> tuple[list[str], Any, Tfidf]:
    """Return the texts, weights and vocabulary by the code of the stages."""

    # Forks use no polars: its threads are not theirs.
    def parsed(first: int, every: int) -> Iterator[list[tuple[object, ...]]]:
        for at in range(first * BATCH, len(raw), every * BATCH):
            yield [row_of(mail.parse(content), _LANDED) for content in raw[at : at + BATCH]]

    rows = [row for batch in spread(parsed, processes=CPUS) for row in batch]
    texts = text_of(with_body(pl.DataFrame(rows, schema=MAIL_SCHEMA, orient="row")))
    tfidf = Tfidf.fit([texts])
    return texts.to_list(), tfidf.transform(texts), tfidf


def library(raw: list[bytes]) -> tuple[list[str], Any, TfidfVectorizer]:
    """Return the same by `email` and scikit-learn."""
    texts = [_text(content) for content in raw]
    vectorizer = TfidfVectorizer(max_features=500, token_pattern=_TERM)
    return texts, vectorizer.fit_transform(texts), vectorizer


def _tokens(text: str) -> list[str]:
    return pl.Series([text]).str.to_lowercase().str.extract_all(TERM)[0].to_list()


def _text(content: bytes) -> str:
    message: Any = message_from_bytes(content, policy=policy.compat32)
    subject = mail.decode_words(str(message.get("subject", ""))).strip()
    for name in ("from", "date", "received"):
        message.get(name)
    plain, html = mail._bodies_by_library(message)
    return f"{subject}\n{normalise.body_of(chr(10).join(plain), chr(10).join(html))}"


def main(data: Path, runs: int) -> None:
    """Measure and print."""
    raw = pq.read_table(data, columns=["raw"])["raw"].to_pylist()
    rates: dict[str, list[float]] = {"ours": [], "library": []}
    for _ in range(runs):
        for name, work in (("ours", ours), ("library", library)):
            began = time.monotonic()
            result = work(raw)
            rates[name].append(len(raw) / (time.monotonic() - began))
            if name == "ours":
                texts, weights, tfidf = result
    same = np.array([a.split() == b.split() for a, b in zip(texts, result[0], strict=True)])
    # Python's word characters are a few more than Unicode's, so that two terms would differ a little.
    by_terms = TfidfVectorizer(vocabulary=list(tfidf.terms), analyzer=_tokens).fit(texts)
    apart = np.abs(by_terms.transform(texts).toarray() - weights[:, : len(tfidf.terms)])[same].max(axis=1)
    output = {**rates, "same_texts": float(same.mean()), "same_weights": float((apart < 1e-6).mean())}
    print(json.dumps(output))  # noqa: T201 - what it measured is its output


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
