"""Mail and parquet files that nobody wrote: mutations of a corpus, the same ones in every run.

REFIT_FUZZ_EXAMPLES makes a longer run, on random mutations; hypothesis then prints how to repeat a failure.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preptest.mails import message, odd
from refit_contract.errors import BadInputError
from refit_data_prep import mail, normalise
from refit_data_prep.upload import Upload

EXAMPLES: Final = os.environ.get("REFIT_FUZZ_EXAMPLES")
LANDED_AT: Final = datetime(2026, 11, 23, tzinfo=UTC)

fuzz = settings(
    max_examples=int(EXAMPLES or 400),
    derandomize=EXAMPLES is None,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

MAILS: Final = [raw for raw in odd().values() if len(raw) < 10_000]
TOKENS: Final = [
    *(
        b"\x00",
        b"\n",
        b"\r\n",
        b"\n\n",
        b" ",
        b";",
        b":",
        b'"',
        b"--",
        b"=",
        b"=?",
        b"?=",
        b"<",
        b">",
        b"@",
        b"\xff",
        b"\xe9",
    ),
    *(
        b"=?utf-8?b?w7w=?=",
        b"=?x?q?=00?=",
        b"=?punycode?q?a-b?=",
        b"=?utf-8*en?Q?a?=",
        b"=?idna?b?eA==?=",
        b"\nSubject: ",
    ),
    *(
        b"\nFrom: ",
        b"\nDate: ",
        b"\nReceived: ",
        b"\nContent-Type: ",
        b"text/html",
        b"multipart/mixed; boundary=",
        b"charset=",
    ),
    *(
        b"\nContent-Transfer-Encoding: base64\n",
        b"quoted-printable",
        b"message/rfc822",
        b"0000",
        b"9999",
        b"+9999",
        b"<!--",
    ),
    *(b"<script", b"</style", b"&#x110000;", b"filename*0*=", b"\xed\xa0\x80", b"\xef\xbb\xbf"),
]


def parquets() -> list[bytes]:
    """Return small parquet files of every layout, written in several ways."""
    labels = ["ham", "spam", "ham"]
    times = [datetime(2002, 6, 1, tzinfo=UTC), None, LANDED_AT]
    layouts: list[dict[str, Any]] = [
        {"raw": [message(i) for i in range(3)], "label": labels, "email_id": ["a", "b", None]},
        {"text": ["a", None, "From: a@b.org\n\nx"], "label": [0, 1, None]},
        {"body_text": ["a", None, "c"], "label": labels, "date": times, "received_hops": [["x; 1"], [], None]},
    ]
    written = []
    for columns in layouts:
        for compression in ("uncompressed", "snappy", "zstd"):
            buffer = BytesIO()
            pl.DataFrame(columns).write_parquet(buffer, compression=compression)
            written.append(buffer.getvalue())
    return written


@st.composite
def mutated(draw: Callable[[Any], Any], corpus: list[bytes], tokens: list[bytes]) -> bytes:
    """Return a file of the corpus with some bytes overwritten, cut out or put in."""
    found = bytearray(draw(st.sampled_from(corpus)))
    inserted = st.sampled_from(tokens) | st.binary(max_size=12)
    edits = st.tuples(st.floats(0, 1), st.integers(0, 12), inserted, st.booleans())
    for place, cut, piece, from_end in draw(st.lists(edits, min_size=1, max_size=8)):
        # What decides most about a parquet file is at its end.
        at = max(0, len(found) - int(place * 1000)) if from_end else int(place * len(found))
        found[at : at + cut] = piece
    return bytes(found)


@fuzz
@given(raw=mutated(MAILS, TOKENS) | st.binary(max_size=300))
def test_any_mail_is_read(raw: bytes) -> None:
    """Whatever a mail is, it has valid Unicode fields, times in UTC, and a canonical text with a hash."""
    found = mail.parse(raw)

    "".join((found.subject, found.sender_domain, found.body_text, found.body_html, found.x_mailer)).encode()
    assert all(t is None or t.utcoffset() == UTC.utcoffset(None) for t in (found.date, found.received))
    assert "\n" not in found.subject
    assert found.sender_domain == found.sender_domain.lower()
    time = mail.event_time(found.date, found.received, latest=LANDED_AT)
    assert time is None or mail.EARLIEST <= time <= LANDED_AT
    body = normalise.canonical(normalise.body_of(found.body_text, found.body_html))
    assert len(normalise.content_hash(normalise.canonical(found.subject), body)) == 32
    assert mail.parse(raw) == found


@fuzz
@given(text=st.text(max_size=60) | mutated([b"Thu, 22 Aug 2002 18:26:25 +0700", b"2002-08-22T13:26:25+02:00"], TOKENS))
def test_any_time_is_read_or_none(text: str | bytes) -> None:
    """A text is a time in UTC or none at all."""
    found = mail.parse_time(text if isinstance(text, str) else text.decode("utf-8", "replace"))

    assert found is None or found.utcoffset() == UTC.utcoffset(None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the files of this module are written."""
    return tmp_path_factory.mktemp("fuzz")


@fuzz
@given(content=mutated(parquets(), [b"PAR1", b"\x00" * 8, b"\xff" * 4, b"\x7f\xff\xff\xff"]))
def test_any_file_is_read_or_refused(folder: Path, content: bytes) -> None:
    """A damaged parquet is read, or refused in one sentence that names it and what is accepted; nothing crashes."""
    path = folder / "mail.parquet"
    path.write_bytes(content)
    try:
        rows = [row for batch in Upload(path, name="mail.parquet").batches() for row in batch]
    except BadInputError as err:
        text = str(err)
        assert "mail.parquet" in text
        assert "accepted" in text or "upload a file" in text
        assert len(text) < 5000
    else:
        "".join(f"{row.email_id}{row.mail.subject}{row.mail.body_text}" for row in rows).encode()
