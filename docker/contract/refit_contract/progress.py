"""How far the work is, for whoever watches."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from refit_contract.errors import WorkloadError
from refit_contract.result import stamp
from refit_contract.store import Store

_log = logging.getLogger(__name__)


class Progress:
    """Overwrites one `progress.json`, at most once a second.

    Progress is a courtesy: when the store refuses, the failure is logged and the work
    goes on.
    """

    def __init__(
        self,
        *,
        store: Store,
        uri: str,
        interval: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Write to `uri`, no sooner than `interval` seconds of `clock` after the last time."""
        self._store, self._uri, self._interval, self._clock = store, uri, interval, clock
        self._last = float("-inf")

    def report(self, step: str, *, done: int, total: int, message: str = "") -> None:
        """Say that `done` of `total` parts of `step` are done; too early a call is dropped."""
        now = self._clock()
        if now - self._last < self._interval:
            return
        self._last = now
        at = stamp(datetime.now(UTC))
        value = {"step": step, "done": done, "total": total, "message": message, "at": at}
        try:
            self._store.put_json(self._uri, value)
        except WorkloadError as err:
            _log.warning("no progress written: %s", err)
