"""One Ray head and one MLflow store for all tests that need them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from refit_ray_train import matrix
from refit_ray_train.matrix import Matrix
from traintest import head, matrices


@pytest.fixture(scope="session")
def platform() -> Iterator[dict[str, str]]:
    """Return the environment of a workload beside a running Ray head."""
    # Ray's sockets need a short path; pytest's own folders have long ones.
    folder = Path(tempfile.mkdtemp(prefix="rt-", dir="/tmp"))
    try:
        with head.running(folder) as env:
            scratch = folder / "scratch"
            scratch.mkdir()
            yield {
                **env,
                "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
                "REFIT_TMPDIR": str(scratch),
                "REFIT_CPUS": "2",
            }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def matrix_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a training matrix of 600 mails."""
    path = tmp_path_factory.mktemp("matrix") / "train_matrix.parquet"
    matrices.write(path, matrices.table())
    return path


@pytest.fixture(scope="session")
def data(matrix_file: Path) -> Matrix:
    """Return that matrix as arrays."""
    return matrix.load(matrix_file)
