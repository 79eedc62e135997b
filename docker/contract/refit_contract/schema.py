"""Validation against the JSON Schemas that Go and Python share."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any


@cache
def load(name: str) -> dict[str, Any]:
    """Return the schema `name` (for example "spec") from the package's schema folder.

    Raises FileNotFoundError when there is no such schema.
    """
    path = resources.files("refit_contract") / "schemas" / f"{name}.json"
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def problems(name: str, value: object) -> list[str]:
    """Return what is wrong with `value` by the schema `name`, as "path: message" lines."""
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(load(name))
    found = sorted(validator.iter_errors(value), key=lambda e: [str(p) for p in e.absolute_path])
    return [f"{'.'.join(str(p) for p in e.absolute_path) or '(top)'}: {e.message}" for e in found]
