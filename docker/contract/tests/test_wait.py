from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from contracttest.s3 import FakeS3
from refit_contract.errors import DeadlineExceededError, MLflowUnavailableError
from refit_contract.wait import wait_for

SOON = timedelta(hours=1)


@pytest.mark.parametrize("scheme", ["http", "tcp"])
def test_a_server_that_answers_is_not_waited_for(s3: FakeS3, scheme: str) -> None:
    """Any answer below 500 will do (here a 404), and for tcp an accepted connection."""
    wait_for(f"{scheme}://127.0.0.1:{s3.server_port}", deadline=datetime.now(UTC) + SOON)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/health", "tcp://127.0.0.1:1"])
def test_waiting_ends_at_the_deadline(url: str) -> None:
    """A server that never answers ends the wait with the deadline's error, naming the server."""
    with pytest.raises(DeadlineExceededError, match=r"127\.0\.0\.1:1"):
        wait_for(url, deadline=datetime.now(UTC))


def test_a_server_that_is_broken_raises_the_error_asked_for(s3: FakeS3) -> None:
    """A 5xx is no answer; the caller says which failure it is, and may wait less than the deadline."""
    s3.broken = True

    with pytest.raises(MLflowUnavailableError, match="500"):
        wait_for(
            f"http://127.0.0.1:{s3.server_port}/health",
            deadline=datetime.now(UTC) + SOON,
            error=MLflowUnavailableError,
            at_most=timedelta(0),
        )
