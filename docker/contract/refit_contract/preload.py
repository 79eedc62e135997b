"""What is to be loaded before a process forks, where an import alone does not do it."""

from __future__ import annotations

import importlib
import os
from types import SimpleNamespace
from typing import Any

from refit_contract import schema
from refit_contract.store import Store


def contract() -> None:
    """Load what every workload asks of this package, and what boto3 and jsonschema load late."""
    schema.problems("spec", {})
    schema.problems("result", {})
    Store().warm()


def ray() -> None:
    """Import Ray such that forks differ in the ids that it draws.

    Ray's generator, once used, goes on from the same state in every fork. Modules use it at their
    import, to name their actor classes; those names come from the operating system from here on.
    """
    actor: Any = importlib.import_module("ray.actor")
    drawn = actor.ActorClassID
    if not isinstance(drawn, SimpleNamespace):
        actor.ActorClassID = SimpleNamespace(from_random=lambda: drawn(os.urandom(drawn.size())))
