"""The result of one attempt, checked against its schemas before anyone can read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from refit_contract import schema
from refit_contract.errors import InternalError, WorkloadError
from refit_contract.spec import Artifact, Spec


@dataclass(frozen=True, kw_only=True)
class Result:
    """What an attempt came to: figures and artifacts, or the error that ended it."""

    spec: Spec
    figures: Mapping[str, Any]
    artifacts: Mapping[str, Artifact]
    started_at: datetime
    ended_at: datetime
    error: WorkloadError | None = None

    def json(self) -> dict[str, Any]:
        """Return the content of `result.json`.

        Raises InternalError when it does not match result.json's schema, or when the
        figures of a success do not match figures.<stage>.json or are not finite.
        """
        value: dict[str, Any] = {
            "run": self.spec.run,
            "stage": self.spec.stage,
            "attempt": self.spec.attempt,
            "outcome": "failed" if self.error else "succeeded",
            "figures": dict(self.figures),
            "artifacts": {name: a.json() for name, a in self.artifacts.items()},
            "started_at": stamp(self.started_at),
            "ended_at": stamp(self.ended_at),
        }
        if self.error:
            message = str(self.error) or type(self.error).__name__
            value["error"] = {"reason": str(self.error.reason), "message": message}
        _check(value)
        return value


def stamp(time: datetime) -> str:
    """Return `time` as RFC 3339 in UTC with milliseconds, ending in Z."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _check(value: dict[str, Any]) -> None:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as err:
        raise InternalError(f"the result is not JSON: {err}") from err
    found = schema.problems("result", value)
    if value["outcome"] == "succeeded":
        found += [f"figures.{p}" for p in _figures(value["stage"], value["figures"])]
    if found:
        raise InternalError("the result does not match its schema: " + "; ".join(found))


def _figures(stage: str, figures: Mapping[str, Any]) -> list[str]:
    try:
        return schema.problems(f"figures.{stage}", dict(figures))
    except FileNotFoundError as err:
        raise InternalError(f"there is no schema figures.{stage}.json") from err
