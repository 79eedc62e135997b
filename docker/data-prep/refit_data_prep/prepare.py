"""The prepare stage: an uploaded parquet file to train, test and a report.

Two passes stream the file, parsed by one process for each CPU. The first keeps a few bytes of each
row (content hash, time, label) and decides what becomes of it; the second writes the rows that stay. Rows that are
merely odd are dropped and counted; a file that cannot be used is refused in one sentence.
"""

from __future__ import annotations

import sys
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from refit_contract.errors import BadInputError
from refit_contract.run import Context, main
from refit_contract.spec import Artifact, Parameters, Spec
from refit_data_prep import mail, normalise, split
from refit_data_prep.near import Signatures, signature
from refit_data_prep.report import report_of
from refit_data_prep.sink import Sinks
from refit_data_prep.spread import spread
from refit_data_prep.upload import Row, Upload

EMPTY: Final = "empty"
UNLABELLED: Final = "unlabelled"
UNDATED: Final = "undated"
DUPLICATE: Final = "duplicate"

LISTED: Final = 100
"""Dropped rows listed in the report for each reason; all of them are counted."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_SHORT: Final = 3


class Note(NamedTuple):
    """What the first pass finds in one row: `empty` says that it has neither subject nor body."""

    time: datetime | None
    clock: str
    label: int | None
    content_hash: str
    signature: bytes
    empty: bool

    @classmethod
    def of(cls, row: Row, *, latest: datetime) -> Note:
        """Return the note of `row`; no mail is later than `latest`."""
        subject = normalise.canonical(row.mail.subject)
        plain = normalise.body_of(row.mail.body_text, row.mail.body_html)
        body = normalise.canonical(plain)
        time = mail.event_time(row.mail.date, row.mail.received, latest=latest)
        # A reply of two words says little: its subject is part of what it says.
        said = body if body.count(" ") >= _SHORT else f"{subject} {body}"
        return cls(
            time=time,
            clock=_clock(row.mail, time),
            label=row.label,
            content_hash=normalise.content_hash(subject, body),
            signature=signature(said).tobytes(),
            empty=not (subject or body),
        )


@dataclass(kw_only=True)
class Keys:
    """What the first pass remembers of every row, about 40 bytes each.

    `times` are microseconds since 1970; `drops` holds why a row does not stay.
    """

    times: array[int] = field(default_factory=lambda: array("q"))
    labels: array[int] = field(default_factory=lambda: array("b"))
    hashes: bytearray = field(default_factory=bytearray)
    drops: dict[int, str] = field(default_factory=dict)
    clocks: Counter[str] = field(default_factory=Counter)

    def add(self, note: Note) -> None:
        """Take the note of the file's next row."""
        row = len(self.times)
        self.clocks[note.clock] += 1
        self.times.append(0 if note.time is None else micros(note.time))
        self.labels.append(-1 if note.label is None else note.label)
        self.hashes += note.content_hash.encode()
        reasons = ((EMPTY, note.empty), (UNLABELLED, note.label is None), (UNDATED, note.time is None))
        if reason := next((r for r, holds in reasons if holds), None):
            self.drops[row] = reason

    def use_landing_time(self, landed_at: datetime) -> None:
        """Give every row the time that the file landed: none of them has one of its own."""
        self.times = array("q", [micros(landed_at)]) * len(self.times)
        self.drops = {i: r for i, r in self.drops.items() if r != UNDATED}

    def hash_of(self, row: int) -> str:
        """Return the content hash of a row."""
        return self.hashes[row * 32 : row * 32 + 32].decode()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What becomes of each row that stays: `parts` and `groups` by row index."""

    parts: Mapping[int, str]
    groups: Mapping[int, str]
    drops: Mapping[int, str]
    landing_time: bool


def prepare(spec: Spec, context: Context) -> tuple[Mapping[str, Any], Mapping[str, Artifact]]:
    """Do the stage's work; see the module's text. Raises BadInputError and store errors."""
    name = spec.parameters.entity_data_path or spec.input("entity_data").uri
    upload = Upload(context.download("entity_data"), name=name)
    context.log.info("%s: %d rows, layout %s", name, upload.rows, upload.layout)
    with closing(Signatures(context.scratch / "signatures")) as signatures:
        keys = _collect(upload, context, signatures)
        plan = _plan(keys, spec, signatures, name)
    listed = _listed(plan.drops)
    with closing(Sinks(context.scratch, raw=upload.layout != "columns")) as sinks:
        found = _write(upload, context, keys, plan, sinks, listed)
    report = report_of(spec=spec, upload=upload, keys=keys, plan=plan, listed=found)
    figures = report["figures"]
    context.log.info("kept %(kept)d of %(rows)d rows; drops %(drops)s", figures)
    artifacts = {n: context.upload(p) for n, p in sinks.paths.items()}
    uri = spec.output + "report.json"
    return figures, {**artifacts, "report": context.store.put_json(uri, report)}


def micros(time: datetime) -> int:
    """Return `time` (aware) as microseconds since 1970, exactly."""
    return (time - _EPOCH) // _MICROSECOND


def _collect(upload: Upload, context: Context, signatures: Signatures) -> Keys:
    latest = context.spec.data.landed_at

    def notes(first: int, every: int) -> Iterator[list[Note]]:
        for rows in upload.batches(first=first, every=every):
            yield [Note.of(row, latest=latest) for row in rows]

    keys = Keys()
    for found in spread(notes, processes=_processes(upload, context)):
        context.check_deadline()
        for note in found:
            keys.add(note)
            signatures.append(note.signature)
        context.progress.report("read", done=len(keys.times), total=upload.rows)
    return keys


def _processes(upload: Upload, context: Context) -> int:
    """Return how many processes read the mail: one for each CPU that has batches to read."""
    # The system libraries of macOS do not bear a fork without an exec.
    return max(1, min(context.cpus, upload.rows // upload.batch)) if sys.platform == "linux" else 1


def _clock(found: mail.Mail, time: datetime | None) -> str:
    """Return which clock gave a mail's time, as the report counts it."""
    if found.date is None and found.received is None:
        return "none"
    if time is None:
        return "unusable"
    if time == found.date:
        return "date"
    return "received_instead_of_date" if found.date is not None else "received"


def _plan(keys: Keys, spec: Spec, signatures: Signatures, name: str) -> Plan:
    landing = keys.clocks["none"] == len(keys.times)
    if landing:
        if spec.parameters.split == "time":
            raise BadInputError(
                f"{name} has no times, so split 'time' cannot order it; use split 'hash',"
                " or upload mail with headers or a column date"
            )
        keys.use_landing_time(spec.data.landed_at)
    drops = dict(keys.drops)
    rows = _distinct(keys, drops)
    if len(rows) == 0:
        raise BadInputError(
            f"{name} has no usable row: {_counted(drops)}; a row needs a subject or a body, a label, and a date"
            f" from {mail.EARLIEST:%Y-%m-%d} to its landing, {spec.data.landed_at:%Y-%m-%d %H:%M}:"
            " correct the rows and upload the file again"
        )
    roots = signatures.groups(rows)
    groups = [keys.hash_of(rows[root]) for root in roots]
    parts = _parts(spec.parameters, keys, rows, groups)
    for row, part in zip(rows.tolist(), parts, strict=True):
        if part == split.NEAR_COPY:
            drops[row] = part
    stays = [(r, p, g) for r, p, g in zip(rows.tolist(), parts, groups, strict=True) if r not in drops]
    _check_classes(keys, [(r, p) for r, p, _ in stays], spec.parameters, name, drops)
    return Plan(
        parts={r: p for r, p, _ in stays},
        groups={r: g for r, _, g in stays},
        drops=drops,
        landing_time=landing,
    )


def _distinct(keys: Keys, drops: dict[int, str]) -> NDArray[np.int64]:
    """Return the rows that stay, oldest first; younger copies are added to `drops`."""
    times = np.asarray(keys.times, dtype=np.int64)
    hashes = np.frombuffer(bytes(keys.hashes), dtype="S32")
    usable = np.ones(len(times), dtype=bool)
    usable[list(drops)] = False
    rows = np.flatnonzero(usable).astype(np.int64)
    rows = rows[np.lexsort((hashes[rows], times[rows]))]
    _, first = np.unique(hashes[rows], return_index=True)
    kept = np.zeros(len(rows), dtype=bool)
    kept[first] = True
    drops.update(dict.fromkeys(rows[~kept].tolist(), DUPLICATE))
    return np.asarray(rows[kept], dtype=np.int64)


def _parts(parameters: Parameters, keys: Keys, rows: NDArray[np.int64], groups: list[str]) -> list[str]:
    ratio = parameters.test_split_ratio
    if parameters.split == "hash":
        return split.by_hash(groups, ratio=ratio, seed=parameters.seed)
    times = np.asarray(keys.times, dtype=np.int64)[rows]
    names = [keys.hash_of(row) for row in rows]
    return split.by_time(groups, times, names, ratio=ratio)


def _counted(drops: Mapping[int, str]) -> str:
    """Return how many rows go for each reason, in words."""
    return ", ".join(f"{n} {r}" for r, n in sorted(Counter(drops.values()).items())) or "none"


def _check_classes(
    keys: Keys, stays: list[tuple[int, str]], parameters: Parameters, name: str, drops: Mapping[int, str]
) -> None:
    counts = Counter((part, keys.labels[row]) for row, part in stays)
    for part in (split.FIT, split.VALIDATION, split.TEST):
        spam, ham = counts[part, 1], counts[part, 0]
        if not spam or not ham:
            raise BadInputError(
                f"the {part} part of {name} would have {spam} spam and {ham} ham; each part needs"
                f" both: upload more mail of the missing kind, or change test_split_ratio"
                f" ({parameters.test_split_ratio}), seed ({parameters.seed}) or split"
                f" ({parameters.split!r}); {len(stays)} rows stay, dropped are {_counted(drops)}"
            )


def _listed(drops: Mapping[int, str]) -> dict[int, str]:
    """Return the first LISTED dropped rows of each reason."""
    seen: Counter[str] = Counter()
    listed = {}
    for row in sorted(drops):
        seen[drops[row]] += 1
        if seen[drops[row]] <= LISTED:
            listed[row] = drops[row]
    return listed


def _write(
    upload: Upload,
    context: Context,
    keys: Keys,
    plan: Plan,
    sinks: Sinks,
    listed: Mapping[int, str],
) -> dict[str, Any]:
    wanted = np.zeros(upload.rows, dtype=bool)
    wanted[[*plan.parts, *listed]] = True
    identities = Identities()
    dropped: dict[str, list[dict[str, Any]]] = {}
    done = 0

    def parsed(first: int, every: int) -> Iterator[list[Row]]:
        return upload.batches(wanted=wanted, first=first, every=every)

    for rows in spread(parsed, processes=_processes(upload, context)):
        context.check_deadline()
        for row in rows:
            if row.index in listed:
                entry = {"row": row.index, "email_id": row.email_id}
                dropped.setdefault(listed[row.index], []).append(entry)
            else:
                name = keys.hash_of(row.index)
                time = _EPOCH + keys.times[row.index] * _MICROSECOND
                identity = identities.unique(row.email_id or name)
                part, group = plan.parts[row.index], plan.groups[row.index]
                sinks.add(row, time=time, email_id=identity, part=part, group=group, text_hash=name)
        done += len(rows)
        context.progress.report("write", done=done, total=int(wanted.sum()))
    return {"rows": dropped, "renamed_ids": identities.renamed}


class Identities:
    """Makes email ids unique: the second "a" becomes "a~2"."""

    def __init__(self) -> None:
        """Start with no ids taken and none renamed."""
        self._taken: set[str] = set()
        self.renamed = 0

    def unique(self, name: str) -> str:
        """Return `name`, or `name` with the first free number when it is taken."""
        free, number = name, 1
        while free in self._taken:
            number += 1
            free = f"{name}~{number}"
        self.renamed += free != name
        self._taken.add(free)
        return free


if __name__ == "__main__":
    raise SystemExit(main("prepare", prepare))
