from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from preptest.mails import message
from refit_contract.errors import BadInputError
from refit_data_prep.upload import BATCH, Row, Upload

AT = datetime(2002, 6, 1, 12, tzinfo=UTC)


def written(folder: Path, **columns: Any) -> Path:
    """Write the columns to a parquet file."""
    path = folder / "mail.parquet"
    pl.DataFrame(columns).write_parquet(path)
    return path


def rows_of(path: Path) -> list[Row]:
    """Return all rows of an upload."""
    return [row for batch in Upload(path, name="mail.parquet").batches() for row in batch]


MAILS = [message(0), message(1)]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"raw": MAILS}, r"mail.parquet has no column label, it has: raw; accepted is"),
        ({"r\naw\x1b[2J": MAILS}, "it has: r\N{REPLACEMENT CHARACTER}aw\N{REPLACEMENT CHARACTER}\\[2J; accepted is"),
        ({"label": ["ham", "spam"], "sender": ["a", "b"]}, r"no column with mail, it has: label, sender; accepted is"),
        ({"raw": MAILS, "label": ["ham", "junk"]}, r"unknown values: 'junk' \(1 rows\); accepted are ham, spam, 0, 1"),
        ({"raw": MAILS, "label": [0, 2]}, r"unknown values: '2'"),
        ({"raw": MAILS, "label": [0.0, 0.5]}, r"unknown values: '0.5'"),
        (
            {"raw": MAILS, "label": [True, False]},
            r"unknown values: 'True' \(1 rows\), 'False' \(1 rows\); .* into each row",
        ),
        ({"raw": MAILS, "label": ["a" * 999, "b"]}, r"unknown values: 'a{80}' \(1 rows\)"),
        (
            {"raw": MAILS * 4, "label": list("abcdefgh")},
            r"'a' .*, 'e' \(1 rows\) and others; accepted are ham, spam, 0, 1: write one of these",
        ),
        ({"raw": MAILS, "label": ["spam", "spam"]}, r"has 2 spam and 0 ham, 0 rows have no label; .* learns from both"),
        ({"raw": MAILS, "label": ["ham", None]}, r"has 0 spam and 1 ham, 1 rows have no label; .* with mail of each"),
        (
            {"text": ["a", "b"], "label": [0, 1], "date": [1022932800, 0]},
            r"column date of mail.parquet has type int64; accepted are timestamps, dates and strings: write it",
        ),
        ({f"column{i:04}": [1] for i in range(9999)}, r"it has: column0000, .*, column0029 and 9969 more; accepted is"),
        ({"c" * 5000: [1]}, r"it has: c{80}; accepted is"),
        ({"raw": [1, 2], "label": ["ham", "spam"]}, r"column raw of mail.parquet has type int64; accepted are strings"),
        ({"raw": [], "label": []}, r"mail.parquet has 0 rows"),
    ],
)
def test_an_upload_that_cannot_be_used_is_refused(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    """Each fault is one sentence that names the value, what is accepted and what to do."""
    with pytest.raises(BadInputError, match=message):
        Upload(written(tmp_path, **columns), name="mail.parquet")


@pytest.mark.parametrize("content", [b"", b"label,text\nham,hi\n", b"PAR1"])
def test_what_is_no_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    """A CSV, an empty file and a mere beginning are told apart from data."""
    (tmp_path / "a").write_bytes(content)

    with pytest.raises(BadInputError, match=r"mail.csv is not a whole parquet file.*upload it whole"):
        Upload(tmp_path / "a", name="mail.csv")


@pytest.mark.parametrize("damage", ["cut", "overwritten"])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: str) -> None:
    """A file cut short, or with a hole in its data, is BadInput and not a crash."""
    path = written(tmp_path, raw=[message(i) for i in range(50)], label=["ham", "spam"] * 25)
    content = path.read_bytes()
    hole = content[:200] + b"\xff" * 2000 + content[2200:]
    path.write_bytes(content[: len(content) // 2] if damage == "cut" else hole)

    with pytest.raises(BadInputError, match="not a whole parquet file"):
        rows_of(path)


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """Which of the two counts nobody can know; columns that are not read may do as they like."""
    labels = pa.array(["ham", "spam"])
    names = ["raw", "label", "label"]
    pq.write_table(pa.Table.from_arrays([pa.array(MAILS), labels, labels], names=names), tmp_path / "a")
    pq.write_table(
        pa.Table.from_arrays([pa.array(MAILS), labels, labels, labels], names=["raw", "label", "x", "x"]),
        tmp_path / "b",
    )

    with pytest.raises(BadInputError, match="several columns of the name label; accepted is one of each name: rename"):
        Upload(tmp_path / "a", name="mail.parquet")
    assert len(rows_of(tmp_path / "b")) == 2


SECONDS = int(AT.timestamp())


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.timestamp("s"), [SECONDS, -(2**50), 2**50]),
        (pa.timestamp("us"), [SECONDS * 10**6, -(10**17), 10**18]),
        (pa.timestamp("ms", tz="Mars/Olympus"), [SECONDS * 1000, -(2**60), 2**60]),
        (pa.date32(), [SECONDS // 86400, -(2**31), 2**31 - 1]),
    ],
    ids=str,
)
def test_a_time_that_python_lacks_is_none(tmp_path: Path, kind: Any, values: list[int]) -> None:
    """Years beyond 1 to 9999 spoil their own rows alone, and a zone that nobody knows spoils none."""
    storage = pa.int32() if pa.types.is_date32(kind) else pa.int64()
    dates = pa.array(values, storage).cast(kind)
    pq.write_table(pa.table({"text": ["a", "b", "c"], "label": [0, 1, 0], "date": dates}), tmp_path / "a")

    first, *odd = [row.mail.date for row in rows_of(tmp_path / "a")]

    assert first is not None
    assert first.date() == AT.date()
    assert odd == [None, None]


@pytest.mark.parametrize("encode", [False, True], ids=["plain", "dictionary"])
def test_strings_that_are_no_utf8_lose_nothing(tmp_path: Path, encode: bool) -> None:
    """Some writers put bytes of any charset into string columns; raw mail stays as it was."""
    mails = [b"From: a@b.org\nSubject: caf\xe9\n\nx\n", b"From: a@b.org\n\ny\n"]
    text = pa.array(mails, pa.binary()).view(pa.string())
    labels = pa.array([b"h\xe4m", b"spam"], pa.binary()).view(pa.string())
    columns = {"raw": text.dictionary_encode() if encode else text, "email_id": labels, "label": ["ham", "spam"]}
    pq.write_table(pa.table(columns), tmp_path / "a")

    found = rows_of(tmp_path / "a")

    assert [row.raw for row in found] == mails
    assert [row.mail.subject for row in found] == ["café", ""]
    assert [row.email_id for row in found] == ["h\ufffdm", "spam"]
    pq.write_table(pa.table({"raw": text, "label": labels}), tmp_path / "b")
    with pytest.raises(BadInputError, match="unknown values: 'h\ufffdm'"):
        Upload(tmp_path / "b", name="mail.parquet")


@pytest.mark.parametrize(
    "labels",
    [["ham", "spam"], ["HAM ", " Spam"], [0, 1], [0.0, 1.0], ["0", "1"]],
    ids=["words", "case and space", "integers", "floats", "digits"],
)
def test_labels_are_ham_and_spam_or_0_and_1(tmp_path: Path, labels: list[Any]) -> None:
    """All these are the same labels; pandas turns integers with gaps into floats."""
    assert [row.label for row in rows_of(written(tmp_path, raw=MAILS, label=labels))] == [0, 1]


@pytest.mark.parametrize("kind", [pl.Binary, pl.String, pl.Categorical])
def test_raw_mail_may_be_bytes_or_strings(tmp_path: Path, kind: Any) -> None:
    """Whole messages are read from binary, string and dictionary columns alike."""
    raw = pl.Series([m.decode() for m in MAILS]).cast(kind)

    found = rows_of(written(tmp_path, raw=raw, label=["ham", "spam"]))

    assert [row.mail.sender_domain for row in found] == ["example.org"] * 2
    assert [row.raw for row in found] == MAILS


def test_the_columns_people_have_are_read(tmp_path: Path) -> None:
    """The layout of separate columns gives the fields that raw mail gives; x_spam_* is not even read."""
    path = written(
        tmp_path,
        email_id=["a", "b"],
        label=["ham", "spam"],
        subject=["=?utf-8?q?caf=C3=A9?=", None],
        sender_raw=["A <a@Raw.org>", "B <b@raw.org>"],
        sender_email=["a@mail.org", None],
        sender_domain=["Domain.ORG", None],
        date=["Sat, 01 Jun 2002 14:00:00 +0200", "2002-06-01 12:00:00"],
        body_text=["plain", None],
        body_html=[None, "<p>html</p>"],
        content_type=["Text/Plain; charset=x", None],
        x_mailer=["Mailer", None],
        received_hop_count=[2, None],
        received_hops=['["by a; Sat, 1 Jun 2002 12:00:00 +0000", "by b"]', "from x by y; Sat, 1 Jun 2002 12:00:00 GMT"],
        x_spam_status=["Yes", "No"],
        x_spam_score=[9.9, 0.0],
    )

    upload = Upload(path, name="mail.parquet")
    first, second = (row.mail for batch in upload.batches() for row in batch)

    assert upload.layout == "columns"
    assert upload.ignored == ["x_spam_score", "x_spam_status"]
    assert (first.subject, first.sender_domain, first.content_type) == ("café", "domain.org", "text/plain")
    assert (first.date, first.received, first.received_hop_count) == (AT, AT, 2)
    assert (second.subject, second.sender_domain, second.body_html) == ("", "raw.org", "<p>html</p>")
    assert (second.date, second.received, second.received_hop_count) == (AT, AT, 1)


def test_times_may_be_timestamps(tmp_path: Path) -> None:
    """A date column of timestamps is taken as UTC when it names no zone; event_timestamp is the second choice."""
    path = written(
        tmp_path,
        label=[0, 1],
        body_text=["a", "b"],
        date=pl.Series([AT.replace(tzinfo=None), None]),
        event_timestamp=pl.Series([None, AT]),
    )

    assert [row.mail.date for row in rows_of(path)] == [AT, AT]


def test_text_may_be_a_mail_or_just_text(tmp_path: Path) -> None:
    """In layout text a whole message is parsed, anything else is the body."""
    path = written(tmp_path, text=[MAILS[0].decode(), "buy now"], label=["ham", "spam"])

    first, second = rows_of(path)

    assert Upload(path, name="x").layout == "text"
    assert (first.mail.sender_domain, second.mail.body_text) == ("example.org", "buy now")


def test_large_mail_comes_in_smaller_batches(tmp_path: Path) -> None:
    """Rows of many megabytes are decoded a few at a time."""
    count = 6
    large = [message(i, body=str(i) * (12 << 20)) for i in range(count)]
    path = written(tmp_path, raw=large, label=[i % 2 for i in range(count)])
    upload = Upload(path, name="x")

    assert [len(batch) for batch in upload.batches()] == [2, 2, 2]
    assert [row.index for batch in upload.batches(first=1, every=2) for row in batch] == [2, 3]


def test_rows_come_in_bounded_batches(tmp_path: Path) -> None:
    """However large a row group is, few rows are held at once; unwanted rows are not parsed."""
    count = 3 * BATCH + 1
    path = written(tmp_path, raw=[message(i) for i in range(count)], label=[i % 2 for i in range(count)])
    upload = Upload(path, name="x")
    wanted = pl.Series([i % 2 == 0 for i in range(count)]).to_numpy()

    assert max(len(batch) for batch in upload.batches()) <= BATCH
    found = [row.index for batch in upload.batches(wanted=wanted) for row in batch]
    assert found == list(range(0, count, 2))
