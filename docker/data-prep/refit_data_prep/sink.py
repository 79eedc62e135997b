"""The parquet files that prepare writes, a row at a time, held in small buffers."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from refit_data_prep.matrix import MAIL_SCHEMA, row_of
from refit_data_prep.split import TEST
from refit_data_prep.upload import Row

_TIME: Final = pa.timestamp("us", tz="UTC")
_TEXT: Final = pa.string()

MAILS: Final = pa.schema(
    [
        ("email_id", _TEXT),
        ("label", pa.int8()),
        ("event_timestamp", _TIME),
        ("part", _TEXT),
        ("sender_domain", _TEXT),
        ("subject", _TEXT),
        ("body_text", _TEXT),
        ("body_html", _TEXT),
        ("content_type", _TEXT),
        ("x_mailer", _TEXT),
        ("received_hop_count", pa.int32()),
        ("text_hash", _TEXT),
        ("group", _TEXT),
    ]
)
"""train.parquet and test.parquet; label 1 is spam."""

ENTITIES: Final = pa.schema(
    [MAILS.field(n) for n in ("email_id", "sender_domain", "event_timestamp", "label", "part", "group", "text_hash")]
)
"""entities.parquet: one row for each mail of train and test; text_hash tells a later run what was trained on."""

RAW: Final = pa.schema([("email_id", _TEXT), ("raw", pa.binary())])
"""test_raw.parquet: the test mails as they were uploaded."""

_ROWS: Final = 1000
_BYTES: Final = 4 << 20


class Sink:
    """One parquet file. Rows are written in groups of about a thousand, or of 4 MiB."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        """Create the file `path` with `schema`."""
        self._schema, self._rows, self._bytes = schema, list[dict[str, Any]](), 0
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")

    def add(self, row: dict[str, Any], *, size: int) -> None:
        """Add `row`, about `size` bytes long; columns that the file lacks are left out."""
        self._rows.append(row)
        self._bytes += size
        if len(self._rows) >= _ROWS or self._bytes >= _BYTES:
            self._flush()

    def close(self) -> None:
        """Write what is held and finish the file."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows, self._bytes = [], 0


class Sinks:
    """All files of the stage by artifact name, to be closed. `paths` names them."""

    def __init__(self, folder: Path, *, raw: bool) -> None:
        """Create the files in `folder`, test_raw.parquet only when there is raw mail."""
        schemas = {"train": MAILS, "test": MAILS, "entities": ENTITIES}
        if raw:
            schemas["test_raw"] = RAW
        self.paths = {name: folder / f"{name}.parquet" for name in schemas}
        self._sinks = {name: Sink(self.paths[name], schema) for name, schema in schemas.items()}

    def close(self) -> None:
        """Finish all files."""
        for sink in self._sinks.values():
            sink.close()

    def add(self, row: Row, *, time: datetime, email_id: str, part: str, group: str, text_hash: str) -> None:
        """Add one mail to the files that it belongs to."""
        value: dict[str, Any] = dict(zip(MAIL_SCHEMA, row_of(row.mail, time), strict=True))
        value |= {"email_id": email_id, "label": row.label, "part": part, "group": group}
        value["text_hash"] = text_hash
        size = len(row.mail.body_text) + len(row.mail.body_html)
        self._sinks["test" if part == TEST else "train"].add(value, size=size)
        self._sinks["entities"].add({n: value[n] for n in ENTITIES.names}, size=0)
        if part == TEST and "test_raw" in self._sinks and row.raw is not None:
            entry = {"email_id": email_id, "raw": row.raw}
            self._sinks["test_raw"].add(entry, size=len(row.raw))
