from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from refit_contract import schema
from refit_contract.errors import BadInputError, InternalError, Reason, WorkloadError
from refit_contract.result import Result
from refit_contract.spec import Artifact, Spec

FIGURES = {"train_rows": 8, "test_rows": 2, "columns": 524, "feast_seconds": 0.5, "vocabulary": 500}


def result(spec_value: dict[str, Any], **changed: Any) -> Result:
    """Return a good result of the features stage with some fields changed."""
    at = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
    artifact = Artifact(uri="s3://refit/a", digest="sha256:" + "0" * 64, bytes=1)
    fields: dict[str, Any] = {
        "spec": Spec.parse(json.dumps(spec_value)),
        "figures": FIGURES,
        "artifacts": {"tfidf": artifact},
        "started_at": at,
        "ended_at": at,
    }
    return Result(**{**fields, **changed})


def test_a_success_is_written_as_the_contract_says(spec_value: dict[str, Any]) -> None:
    """Run, stage and attempt come from the spec; times are UTC and end in Z."""
    value = result(spec_value).json()

    assert value["outcome"] == "succeeded"
    assert value["attempt"] == 2
    assert value["started_at"] == "2026-11-23T06:00:00.000Z"
    assert value["artifacts"]["tfidf"]["bytes"] == 1
    assert "error" not in value


def test_a_failure_carries_reason_and_message(spec_value: dict[str, Any]) -> None:
    """A failed result needs no figures, but names its reason."""
    value = result(spec_value, figures={}, artifacts={}, error=BadInputError("no label")).json()

    assert value["outcome"] == "failed"
    assert value["error"] == {"reason": "BadInput", "message": "no label"}


@pytest.mark.parametrize(
    "figures",
    [{**FIGURES, "columns": 528}, {"train_rows": 8}, {**FIGURES, "feast_seconds": float("nan")}],
    ids=["outside the schema", "incomplete", "not a number"],
)
def test_figures_outside_their_schema_are_internal(spec_value: dict[str, Any], figures: dict[str, Any]) -> None:
    """Nobody can read figures that break the contract: writing them is the workload's own error."""
    with pytest.raises(InternalError):
        result(spec_value, figures=figures).json()


def test_the_schema_knows_every_reason() -> None:
    """The reasons in result.json's schema, the enum and the error tree are the same set."""
    accepted = schema.load("result")["properties"]["error"]["properties"]["reason"]["enum"]

    assert accepted == list(Reason)
    assert {kind.reason for kind in WorkloadError.__subclasses__()} == set(Reason)


def test_an_artifact_without_digest_is_internal(spec_value: dict[str, Any]) -> None:
    """An artifact in a result always has its digest and size."""
    with pytest.raises(InternalError, match="digest"):
        result(spec_value, artifacts={"tfidf": Artifact(uri="s3://refit/a")}).json()
