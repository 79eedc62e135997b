"""Waiting for servers that start beside a workload."""

from __future__ import annotations

import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from refit_contract.errors import DeadlineExceededError, WorkloadError

_PAUSE = 0.25
_TIMEOUT = 5.0


def wait_for(
    url: str,
    *,
    deadline: datetime,
    headers: Mapping[str, str] | None = None,
    error: type[WorkloadError] = DeadlineExceededError,
    at_most: timedelta | None = None,
) -> None:
    """Return as soon as `url` answers.

    An `http(s)://` URL answers with any status below 500, `tcp://host:port` by accepting
    a connection. Raises `error`, naming the last failure, when `deadline` (aware) or, if
    sooner, `at_most` from now has passed.
    """
    now = datetime.now(UTC)
    end = deadline if at_most is None else min(deadline, now + at_most)
    pause = threading.Event()
    while failure := _failure(url, headers or {}):
        if datetime.now(UTC) >= end:
            raise error(f"{url} does not answer: {failure}; see that it runs and is reachable")
        pause.wait(_PAUSE)


def _failure(url: str, headers: Mapping[str, str]) -> str:
    parts = urlsplit(url)
    try:
        if parts.scheme == "tcp":
            with socket.create_connection((parts.hostname or "", parts.port or 0), _TIMEOUT):
                return ""
        request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 - our own servers
        # A proxy of the environment has no business between a workload and its own servers.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=_TIMEOUT):
            return ""
    except urllib.error.HTTPError as err:
        return "" if err.code < 500 else f"HTTP status {err.code}"
    except OSError as err:
        return str(err)
