"""Make many mails of few: `repeat.py DATA.parquet OUT.parquet ROWS`.

Each round over the mails changes what would make copies of them: the id, the time (31 hours for
each round), the subject, and half a page of words before the body.
"""

from __future__ import annotations

import random
import re
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

sys.path[:0] = [str(Path(__file__).parents[3] / "docker" / name) for name in ("contract", "data-prep")]

from refit_data_prep import mail  # noqa: E402 - the path comes first

_DATE = re.compile(rb"(?im)^Date:.*(?:\n[ \t].*)*")
_HOP = re.compile(rb"(?i)(^|\n)(Received:(?:.*\n[ \t])*.*;)[^;\n]*(?:\n[ \t][^;\n]*)?(?=\n)")
_SUBJECT = re.compile(rb"(?im)^Subject:")
_WORDS = 60
_VOCABULARY = 20_000


def changed(raw: bytes, *, turn: int, seed: int) -> bytes:
    """Return the mail `raw` as another one, in the round `turn`."""
    if not turn:
        return raw
    found = mail.parse(raw)
    time = mail.event_time(found.date, found.received, latest=datetime.now(UTC))
    head, _, body = raw.partition(b"\n\n")
    if time is not None:
        stamp = format_datetime(time - turn * timedelta(hours=31)).encode()
        head = _DATE.sub(b"Date: " + stamp, head, count=1)
        head = _HOP.sub(rb"\1\2 " + stamp, head, count=1)
    head = _SUBJECT.sub(b"Subject: [%d]" % turn, head, count=1)
    draw = random.Random(seed)  # noqa: S311 - nothing secret
    words = " ".join(f"w{int(_VOCABULARY * draw.random() ** 3)}x" for _ in range(_WORDS))
    return head + b"\n\n" + words.encode() + b"\n" + body


def main(source: str, out: str, rows: int) -> None:
    """Write `rows` mails."""
    table = pq.read_table(source)
    names = set(table.column_names)
    column = "raw" if "raw" in names else "text"
    mails, labels = table[column].to_pylist(), table["label"].to_pylist()
    schema = pa.schema([("email_id", pa.string()), ("label", pa.string()), ("raw", pa.binary())])
    with pq.ParquetWriter(out, schema, compression="zstd", compression_level=1) as writer:
        for at in range(0, rows, 1000):
            part = []
            for number in range(at, min(at + 1000, rows)):
                turn, place = divmod(number, len(mails))
                raw = mails[place].encode() if isinstance(mails[place], str) else mails[place]
                part.append((f"m{number}", str(labels[place]), changed(raw, turn=turn, seed=number)))
            writer.write_table(pa.table([list(c) for c in zip(*part, strict=True)], schema=schema))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
