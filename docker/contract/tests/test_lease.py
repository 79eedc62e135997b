from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from contracttest.s3 import FakeS3
from refit_contract.errors import BadInputError, StoreUnavailableError
from refit_contract.lease import held
from refit_contract.store import Store

URI = "s3://refit/locks/model/spam"
KEY = "/refit/locks/model/spam"
NOW = datetime(2026, 11, 23, 6, 0, 0, tzinfo=UTC)


def take(s3: FakeS3, holder: str, *, now: datetime = NOW) -> object:
    """Ask once for the lease, for 40 seconds."""
    return held(
        Store(env=s3.env()),
        URI,
        holder=holder,
        lasts=timedelta(seconds=40),
        patience=timedelta(),
        clock=lambda: now,
    )


def test_one_holds_it_at_a_time(s3: FakeS3) -> None:
    """While it is held others are told by whom; afterwards it is free."""
    with take(s3, "first"):  # type: ignore[attr-defined]
        with pytest.raises(StoreUnavailableError, match="is held by first"), take(s3, "second"):  # type: ignore[attr-defined]
            pass
        assert json.loads(s3.objects[KEY]) == {"holder": "first", "expires": "2026-11-23T06:00:40Z"}
    with take(s3, "second"):  # type: ignore[attr-defined]
        assert json.loads(s3.objects[KEY])["holder"] == "second"


def test_one_that_ran_out_is_taken_over(s3: FakeS3) -> None:
    """A holder that died is waited for no longer than its time, and one that lives leaves the taker's alone."""
    with take(s3, "dead"):  # type: ignore[attr-defined]
        with take(s3, "second", now=NOW + timedelta(seconds=40)):  # type: ignore[attr-defined]
            pass
        released = s3.objects[KEY]
    assert s3.objects[KEY] == released


def test_it_reads_what_the_functions_write(s3: FakeS3) -> None:
    """A record with the functions' nanoseconds counts, and so does one that they released."""
    s3.objects[KEY] = b'{"holder":"r-1/1","expires":"2026-11-23T06:00:01.123456789Z"}'
    with pytest.raises(StoreUnavailableError, match="is held by r-1/1"), take(s3, "second"):  # type: ignore[attr-defined]
        pass
    s3.objects[KEY] = b'{"holder":"r-1/1","expires":"0001-01-01T00:00:00Z"}'
    with take(s3, "second"):  # type: ignore[attr-defined]
        pass


def test_a_folder_is_no_place_for_it() -> None:
    """Only an object store compares and sets."""
    with pytest.raises(BadInputError, match="accepted is s3://bucket/key"):
        Store(env={}).replace("file:///tmp/lease", b"", etag="x")
