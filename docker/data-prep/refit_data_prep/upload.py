"""The uploaded parquet file: what layout it has, and its rows one batch at a time."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from refit_contract.errors import BadInputError
from refit_data_prep import mail

Layout = Literal["raw", "text", "columns"]

ACCEPTED: Final = (
    "accepted is a parquet file with a column label (ham/spam or 0/1) and either raw (whole "
    "messages), text (messages or plain text), or body_text and body_html with subject, "
    "sender_email or sender_domain, date and so on"
)
"""What a user may upload, for error messages."""

BATCH: Final = 64
"""Rows decoded at once, fewer where they are large: it bounds memory, whatever the file's row groups are."""

_BATCH_BYTES: Final = 32 << 20

_LABELS: Final = {"ham": 0, "spam": 1, "0": 0, "1": 1}
_FIELDS: Final = (
    "subject",
    "sender_domain",
    "sender_email",
    "sender_raw",
    "body_text",
    "body_html",
    "content_type",
    "x_mailer",
    "received_hop_count",
    "received_hops",
)
_TIMES: Final = ("date", "event_timestamp")
_SHOWN: Final = 5
_NAMES: Final = 30
_LONGEST: Final = 80
_HOP_TIME: Final = re.compile(
    r"(?:[A-Z][a-z]{2},\s*)?\d{1,2}\s+[A-Z][a-z]{2}\s+\d{2,4}\s+\d\d:\d\d(?::\d\d)?(?:\s+[-+]\d{4})?"
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the upload. `raw` is None in layout columns, `label` None when missing."""

    index: int
    email_id: str
    label: int | None
    mail: mail.Mail
    raw: bytes | None


class Upload:
    """An uploaded file whose schema is known to be usable.

    `name` is what the user calls the file; it stands in every message. `digest` is
    "sha256:" and the hex digest of the whole file.
    """

    def __init__(self, path: Path, *, name: str) -> None:
        """Open the file at `path`.

        Raises BadInputError when it is no parquet file, has no rows, no label, labels that
        are neither ham nor spam, one class only, or no column with mail.
        """
        self._path, self._name = path, name
        with path.open("rb") as file:
            self.digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        with self._readable():
            file = self._open()
        self.rows: int = file.metadata.num_rows
        self._schema = file.schema_arrow
        self.batch = _batch(file.metadata)
        """Rows decoded at once."""
        names = list(self._schema.names)
        self.layout: Layout = self._layout(names)
        self.columns: list[str] = self._used(names)
        self.ignored: list[str] = sorted(set(names) - set(self.columns))
        if self.rows == 0:
            raise BadInputError(f"{name} has 0 rows; upload a file with mail, ham and spam")
        self._check_types()
        self._check_labels()

    def batches(
        self, *, wanted: NDArray[np.bool_] | None = None, first: int = 0, every: int = 1
    ) -> Iterator[list[Row]]:
        """Yield the rows in file order, only those that are `wanted` (by row index) if given.

        Of all batches, yields `every` second, third and so on, from the batch `first` on. Raises
        BadInputError when the file turns out to be damaged.
        """
        for at, columns in self._read(self.columns, first=first, every=every):
            yield [
                self._row(at + i, {k: v[i] for k, v in columns.items()})
                for i in range(len(columns["label"]))
                if wanted is None or wanted[at + i]
            ]

    def _row(self, index: int, value: Mapping[str, Any]) -> Row:
        identity = value.get("email_id")
        raw: bytes | None = None
        if self.layout == "columns":
            found = _from_columns(value)
        else:
            content = value[self.layout]
            raw = content.encode("utf-8", "replace") if isinstance(content, str) else content
            raw = raw or b""
            found = mail.parse(raw)
            if found.date is None and found.received is None:
                found = _with_time(found, value)
        return Row(
            index=index,
            email_id=_string(identity),
            label=_label(value["label"]),
            mail=found,
            raw=raw,
        )

    def _read(
        self, columns: list[str], *, first: int = 0, every: int = 1
    ) -> Iterator[tuple[int, dict[str, list[Any]]]]:
        """Yield the first row's index and the values of each batch from `first` on."""
        at = 0
        # A file of its own, since forks would share the place in an open one.
        with self._readable(), self._open() as file:
            for number, batch in enumerate(file.iter_batches(batch_size=self.batch, columns=columns)):
                if number % every == first:
                    yield at, {n: _values(batch.column(n)) for n in batch.schema.names}
                at += batch.num_rows

    def _open(self) -> pq.ParquetFile:
        return pq.ParquetFile(self._path, pre_buffer=False)

    def _layout(self, names: list[str]) -> Layout:
        if "label" not in names:
            raise BadInputError(f"{self._name} has no column label, it has: {_listed(names)}; {ACCEPTED}")
        for layout, marks in _MARKS.items():
            if marks.intersection(names):
                return layout
        raise BadInputError(f"{self._name} has no column with mail, it has: {_listed(names)}; {ACCEPTED}")

    def _used(self, names: list[str]) -> list[str]:
        fields = _FIELDS if self.layout == "columns" else (self.layout,)
        return [n for n in ("email_id", "label", *_TIMES, *fields) if n in names]

    def _check_types(self) -> None:
        schema = self._schema
        twice = sorted(n for n in set(self.columns) if schema.names.count(n) > 1)
        if twice:
            raise BadInputError(
                f"{self._name} has several columns of the name {_listed(twice)}; accepted is one of each name:"
                " rename the others or leave them out"
            )
        for names, tests, accepted in _TYPES:
            for name in sorted(names.intersection(self.columns)):
                kind = schema.field(name).type
                kind = kind.value_type if pa.types.is_dictionary(kind) else kind
                if not any(test(kind) for test in tests):
                    raise BadInputError(
                        f"column {name} of {self._name} has type {str(kind)[:_LONGEST]}; accepted are {accepted}:"
                        " write it as one of these"
                    )

    def _check_labels(self) -> None:
        found: Counter[int | None] = Counter()
        unknown: Counter[str] = Counter()
        for _, columns in self._read(["label"]):
            for value in columns["label"]:
                try:
                    found[_label(value)] += 1
                except ValueError:
                    unknown[_string(value)[:_LONGEST]] += 1
        if unknown:
            listed = ", ".join(f"{v!r} ({n} rows)" for v, n in unknown.most_common(_SHOWN))
            raise BadInputError(
                f"column label of {self._name} has unknown values: {listed}"
                f"{' and others' if len(unknown) > _SHOWN else ''}; accepted are ham, spam, 0, 1:"
                " write one of these into each row, or leave the row out"
            )
        if not found[0] or not found[1]:
            raise BadInputError(
                f"{self._name} has {found[1]} spam and {found[0]} ham, {found[None]} rows have no label; a filter"
                " learns from both: upload a file with mail of each"
            )

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Turn what pyarrow raises for a damaged file into one clear error."""
        try:
            yield
        # pyarrow decodes the names of columns itself.
        except (pa.ArrowException, OSError, UnicodeDecodeError) as err:
            raise BadInputError(
                f"{self._name} is not a whole parquet file: {str(err)[:300]}; {ACCEPTED};"
                " write the file again and upload it whole"
            ) from err


def _batch(metadata: pq.FileMetaData) -> int:
    """Return how many rows of the row group with the largest ones make _BATCH_BYTES, at most BATCH."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    largest = max((g.total_byte_size // max(1, g.num_rows) for g in groups), default=0)
    return max(1, min(BATCH, _BATCH_BYTES // max(1, largest)))


def _is_view(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string_view(kind) or pa.types.is_binary_view(kind))


_MARKS: Final[Mapping[Layout, frozenset[str]]] = {
    "raw": frozenset({"raw"}),
    "columns": frozenset({"body_text", "body_html"}),
    "text": frozenset({"text"}),
}
_TEXTS: Final = frozenset({"raw", "text", "subject", "body_text", "body_html"})
_TEXTUAL: Final = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_null,
    _is_view,
)
_TEMPORAL: Final = (pa.types.is_timestamp, pa.types.is_date, *_TEXTUAL)
_TYPES: Final = (
    (_TEXTS, _TEXTUAL, "strings and binary"),
    (frozenset(_TIMES), _TEMPORAL, "timestamps, dates and strings"),
)


def _values(column: pa.Array) -> list[Any]:
    """Return the values of `column`; None for those that Python does not have, as the year 12000."""
    if pa.types.is_timestamp(column.type):
        # The instant is the same in every zone, and not every zone that a file names is known here.
        column = column.cast(pa.timestamp(column.type.unit, "UTC"))
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        text = scalar.value if pa.types.is_dictionary(scalar.type) else scalar
        return text.as_buffer().to_pybytes() if hasattr(text, "as_buffer") else None
    except (ValueError, OverflowError):
        return None


def _listed(names: list[str]) -> str:
    """Return the first of `names` for a message: a file may have thousands, long ones, and any character."""
    printable = (
        "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in n[:_LONGEST]) for n in names[:_NAMES]
    )
    shown = ", ".join(printable) or "none"
    more = len(names) - _NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def _label(value: object) -> int | None:
    """Return 0 or 1, or None for a missing label; raises ValueError for anything else."""
    if value is None or value != value or value == "":
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    try:
        return _LABELS[text.strip().lower()]
    except KeyError:
        raise ValueError(text) from None


def _from_columns(value: Mapping[str, Any]) -> mail.Mail:
    hops = _hops(value.get("received_hops"))
    count = value.get("received_hop_count")
    address = _text(value, "sender_domain")
    # A bare domain, or the address or From header that it can be read from.
    sender = f"@{address}" if address and "@" not in address else address
    sender = sender or _text(value, "sender_email") or _text(value, "sender_raw")
    return _with_time(
        mail.Mail(
            subject=mail.decode_words(_text(value, "subject")).strip(),
            sender_domain=mail.domain_of(sender),
            body_text=_text(value, "body_text"),
            body_html=_text(value, "body_html"),
            content_type=_text(value, "content_type").partition(";")[0].strip().lower(),
            x_mailer=_text(value, "x_mailer").strip(),
            received_hop_count=_count(count, len(hops)),
            received=_hop_time(hops[0]) if hops else None,
        ),
        value,
    )


def _with_time(found: mail.Mail, value: Mapping[str, Any]) -> mail.Mail:
    times = (_time(value.get(name)) for name in _TIMES)
    date = next((t for t in times if t is not None), None)
    return mail.Mail(**{**vars(found), "date": date})


def _text(value: Mapping[str, Any], name: str) -> str:
    return _string(value.get(name))


def _string(found: object) -> str:
    if found is None:
        return ""
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found)


def _count(value: object, default: int) -> int:
    try:
        return max(0, min(int(float(str(value))), 1_000_000))
    except (ValueError, OverflowError):
        return default


def _time(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    return mail.parse_time(_string(value))


def _hops(value: object) -> list[str]:
    """Return the Received headers, topmost first, from a list, a JSON list or one text."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            return [str(value)]
    if isinstance(value, list):
        return [str(v) for v in value]
    return [str(value)] if isinstance(value, str) and value.strip() else []


def _hop_time(hop: str) -> datetime | None:
    found = _HOP_TIME.findall(hop[-2000:])
    return mail.parse_time(found[-1]) if found else mail.parse_time(hop.rpartition(";")[2])
