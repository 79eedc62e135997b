"""Write the files of these tests into a folder: python files.py DATASET FOLDER."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

START = datetime(2002, 6, 1, tzinfo=UTC)


def message(number: int, body: bytes, *, date: str = "", kind: str = "text/plain") -> bytes:
    """Return a mail with `body`; without `date` it was sent `number` hours after START."""
    when = date or format_datetime(START + timedelta(hours=number))
    head = f"From: a@example.org\nSubject: odd {number}\nDate: {when}\nContent-Type: {kind}\n\n"
    return head.encode() + body + b"\n"


def odd() -> dict[str, bytes | None]:
    """Return mails that are odd, by an id that says how."""
    return {
        "null": None,
        "null again": None,
        "year 0": message(1, b"year zero", date="Mon, 01 Jan 0000 00:00:00 +0000"),
        "year 9999": message(2, b"far away", date="Fri, 31 Dec 9999 23:59:59 -2359"),
        "charset": message(3, b"a caf\xe9 in a charset of nobody", kind="text/plain; charset=x-nobody"),
        "NUL": message(4, b"a\x00b with bytes\x00of nothing"),
        "20 MB": message(5, b"twenty megabytes of words\n" * 800_000),
    }


def table(columns: dict[str, Any], path: Path) -> None:
    """Write `columns` to a parquet file."""
    pq.write_table(pa.table(columns), path, compression="zstd")


def main(dataset: Path, folder: Path) -> None:
    """Write every file."""
    real = pq.read_table(dataset)
    mails = real.take([i * real.num_rows // 200 for i in range(200)])
    raw, label = mails.column("raw").to_pylist(), mails.column("label").to_pylist()
    table({"raw": raw, "label": label}, folder / "good.parquet")
    (folder / "csv.parquet").write_text("label,text\nham,hello\nspam,buy\n")
    whole = (folder / "good.parquet").read_bytes()
    (folder / "truncated.parquet").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.parquet").write_bytes(b"")
    table({"raw": pa.array([], pa.binary()), "label": pa.array([], pa.string())}, folder / "norows.parquet")
    table({"raw": raw, "label": ["spam"] * len(raw)}, folder / "oneclass.parquet")
    table({"raw": raw, "class": label}, folder / "nolabel.parquet")
    table({"raw": raw, "label": ["ham", "junk"] * (len(raw) // 2)}, folder / "labels.parquet")
    table({"subject": label, "label": label}, folder / "nomail.parquet")
    ids = [f"id{i // 2}" for i in range(len(raw))] + list(odd())
    content = {"raw": [*raw, *odd().values()], "label": [*label, *["spam"] * len(odd())], "email_id": ids}
    table(content, folder / "odd.parquet")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
