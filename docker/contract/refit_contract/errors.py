"""The failures that a workload understands, as one tree.

    WorkloadError
    ├── BadInputError            the uploaded data cannot be used as it is
    ├── InputChangedError        an input is gone or is no longer what the spec names
    ├── StoreUnavailableError    the object store does not answer or refuses
    ├── FeatureStoreError        Feast failed or returned something unusable
    ├── RayUnavailableError      the Ray cluster does not answer
    ├── MLflowUnavailableError   the MLflow server does not answer
    ├── DeadlineExceededError    the spec's deadline passed
    └── InternalError            the workload broke its own contract

Each becomes a `result.json` with outcome failed and exit code 1. Any other exception
leaves no result: the platform then knows that the workload died rather than refused.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class Reason(StrEnum):
    """The closed set of failure reasons in `result.json`, in CamelCase."""

    BAD_INPUT = "BadInput"
    INPUT_CHANGED = "InputChanged"
    STORE_UNAVAILABLE = "StoreUnavailable"
    FEATURE_STORE = "FeatureStore"
    RAY_UNAVAILABLE = "RayUnavailable"
    MLFLOW_UNAVAILABLE = "MLflowUnavailable"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    INTERNAL = "Internal"


class WorkloadError(Exception):
    """A failure with a reason; the message is shown to users.

    The message names the bad value, says what is accepted and what to do next.
    """

    reason: ClassVar[Reason] = Reason.INTERNAL


class BadInputError(WorkloadError):
    """The uploaded data cannot be used as it is; retrying cannot help."""

    reason = Reason.BAD_INPUT


class InputChangedError(WorkloadError):
    """An input is gone, or its version, ETag or digest is not the spec's."""

    reason = Reason.INPUT_CHANGED


class StoreUnavailableError(WorkloadError):
    """The object store did not answer, or refused for a reason of its own."""

    reason = Reason.STORE_UNAVAILABLE


class FeatureStoreError(WorkloadError):
    """Feast failed, or what it returned is incomplete."""

    reason = Reason.FEATURE_STORE


class RayUnavailableError(WorkloadError):
    """The Ray cluster did not answer in time."""

    reason = Reason.RAY_UNAVAILABLE


class MLflowUnavailableError(WorkloadError):
    """The MLflow server did not answer in time, or refused."""

    reason = Reason.MLFLOW_UNAVAILABLE


class DeadlineExceededError(WorkloadError):
    """The spec's deadline passed before the work was done."""

    reason = Reason.DEADLINE_EXCEEDED


class InternalError(WorkloadError):
    """The workload broke its own contract, for example by figures outside their schema."""

    reason = Reason.INTERNAL
