"""The contract between refit and its workloads: a spec in, artifacts and a result out.

Every workload is `python -m <module> <spec URI>`. It calls `run.main`, which reads
the spec, runs the stage's work and writes `result.json` last. Importing this package
does nothing: no logging, no folders, no network.
"""

from __future__ import annotations

from refit_contract.columns import FEATURES, KEYS, VIEWS
from refit_contract.errors import (
    BadInputError,
    DeadlineExceededError,
    FeatureStoreError,
    InputChangedError,
    InternalError,
    MLflowUnavailableError,
    RayUnavailableError,
    Reason,
    StoreUnavailableError,
    WorkloadError,
)
from refit_contract.progress import Progress
from refit_contract.run import Context, main
from refit_contract.spec import Artifact, Data, Parameters, Spec
from refit_contract.store import Store
from refit_contract.wait import wait_for

__all__ = [
    "FEATURES",
    "KEYS",
    "VIEWS",
    "Artifact",
    "BadInputError",
    "Context",
    "Data",
    "DeadlineExceededError",
    "FeatureStoreError",
    "InputChangedError",
    "InternalError",
    "MLflowUnavailableError",
    "Parameters",
    "Progress",
    "RayUnavailableError",
    "Reason",
    "Spec",
    "Store",
    "StoreUnavailableError",
    "WorkloadError",
    "main",
    "wait_for",
]
