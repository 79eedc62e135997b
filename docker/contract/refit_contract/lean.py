"""Imports of large libraries without what they would bring along for nothing.

Each of these costs every process seconds of CPU time: XGBoost imports scikit-learn and
`scipy.stats` where it finds them, MLflow's client imports Feast, and Feast compiles its own
classes anew to check their types at run time.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_FEAST = ("feast.infra.offline_stores.duckdb", "feast.infra.passthrough_provider", "feast.infra.registry.registry")


def xgboost() -> ModuleType:
    """Return XGBoost, imported without its wrappers for scikit-learn."""
    with _absent("sklearn"):
        return importlib.import_module("xgboost")


def mlflow() -> ModuleType:
    """Return MLflow, whose client is told nothing by Feast.

    Feast brings a plugin that adds a header to requests for a Feast server in front of MLflow. In
    an environment that has both, MLflow's first request would import all of Feast.
    """
    # Its telemetry calls out, and writes into the home directory.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    found = importlib.import_module("mlflow")
    importlib.import_module("mlflow.pyfunc")
    with _absent("feast"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Failure attempting to register request header provider")
        importlib.import_module("mlflow.tracking.request_header.registry")
    return found


def feast() -> ModuleType:
    """Return Feast without its run-time type checks; our own definitions are checked by its schema."""
    typeguard: Any = importlib.import_module("typeguard")
    checked = typeguard.typechecked
    typeguard.typechecked = _as_written
    try:
        found = importlib.import_module("feast")
        # What Feast loads by name when it is used; the rest of it is checked no more then.
        for name in _FEAST:
            importlib.import_module(name)
        return found
    finally:
        typeguard.typechecked = checked


def _as_written(target: Any) -> Any:
    return target


@contextmanager
def _absent(name: str) -> Iterator[None]:
    """Make the import of the package `name` fail in the block, unless it is imported already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
