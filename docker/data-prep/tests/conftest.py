"""One prepared and one featured sample of the default data, shared by the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from preptest.mails import sample
from preptest.stages import Attempt, run_stage
from refit_data_prep.features import features
from refit_data_prep.prepare import prepare

SAMPLE = 600


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a parquet file with 600 mails of the default data."""
    path = tmp_path_factory.mktemp("real") / "mail.parquet"
    sample(SAMPLE).write_parquet(path)
    return path


@pytest.fixture(scope="session")
def prepared(real: Path, tmp_path_factory: pytest.TempPathFactory) -> Attempt:
    """Return those mails after prepare."""
    attempt = run_stage("prepare", prepare, tmp_path_factory.mktemp("prepare"), {"entity_data": real})
    assert attempt.code == 0
    return attempt


@pytest.fixture(scope="session")
def featured(prepared: Attempt, tmp_path_factory: pytest.TempPathFactory) -> Attempt:
    """Return those mails after features."""
    inputs = {name: prepared.folder / f"{name}.parquet" for name in ("train", "test", "entities")}
    attempt = run_stage("features", features, tmp_path_factory.mktemp("features"), inputs)
    assert attempt.code == 0
    return attempt
