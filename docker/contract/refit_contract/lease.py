"""The right to do one thing at a time, kept in the object store as the functions keep it.

A lease ends at its time even if its holder dies, so a holder must be done by then. The record
and its rules are those of the functions, who take the same leases.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from refit_contract.errors import StoreUnavailableError
from refit_contract.store import Store

_RELEASED = "0001-01-01T00:00:00Z"
_PAUSE = 1.0


@contextmanager
def held(
    store: Store,
    uri: str,
    *,
    holder: str,
    lasts: timedelta,
    patience: timedelta,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[None]:
    """Hold the lease at `uri` as `holder` for the block, which must take less than `lasts`.

    Whoever holds it now is waited for. Raises StoreUnavailableError, naming the holder, when that
    takes longer than `patience`.
    """
    last, pause = clock() + patience, threading.Event()
    while True:
        record = _record(holder, clock() + lasts)
        other = _take(store, uri, record, now=clock())
        if not other:
            break
        if clock() >= last:
            raise StoreUnavailableError(f"the lease {uri} is held by {other}; try again later")
        pause.wait(_PAUSE)
    try:
        yield
    finally:
        _release(store, uri, holder=holder, record=record)


def _record(holder: str, expires: datetime) -> bytes:
    return json.dumps({"holder": holder, "expires": expires.isoformat().replace("+00:00", "Z")}).encode()


def _take(store: Store, uri: str, record: bytes, *, now: datetime) -> str:
    """Take the lease if it is free and return "", or return who holds it."""
    if store.create(uri, record):
        return ""
    found, etag = store.read_version(uri)
    if found == record:  # the answer to our own write was lost
        return ""
    there = json.loads(found)
    if now < datetime.fromisoformat(there["expires"]):
        return str(there["holder"])
    return "" if store.replace(uri, record, etag=etag) else "somebody who was quicker"


def _release(store: Store, uri: str, *, holder: str, record: bytes) -> None:
    found, etag = store.read_version(uri)
    if found == record:  # otherwise it ran out and is somebody else's
        store.replace(uri, json.dumps({"holder": holder, "expires": _RELEASED}).encode(), etag=etag)
