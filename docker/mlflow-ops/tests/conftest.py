"""Fixtures: one small world for all tests, and an MLflow that lives in a folder."""

from __future__ import annotations

import pytest

from evaluatetest import world as worlds


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> worlds.World:
    """Return the small world; tests only read it."""
    return worlds.build(tmp_path_factory.mktemp("world"))
