from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import refit_contract


def run(script: str) -> str:
    """Run `script` in a new interpreter, MLflow's complaint about a plugin being an error; return its output."""
    env = {**os.environ, "PYTHONPATH": str(Path(refit_contract.__file__).parents[1])}
    command = [
        sys.executable,
        "-W",
        "error:Failure attempting to register",
        "-c",
        f"import sys; from refit_contract import lean; {script}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("code", "stays_out", "then"),
    [
        ("lean.xgboost().DMatrix", "sklearn", "sklearn"),
        ("lean.mlflow().MlflowClient(tracking_uri='http://127.0.0.1:9').tracking_uri", "feast", "feast"),
    ],
)
def test_a_library_comes_without_what_it_would_bring(code: str, stays_out: str, then: str) -> None:
    """The library is there, what it need not bring is not, and can be imported afterwards."""
    assert run(f"{code}; print({stays_out!r} in sys.modules); import {then}") == "False"


def test_mlflow_asks_no_plugin_of_feast() -> None:
    """The first request does not import Feast either."""
    ask = "from mlflow.tracking.request_header.registry import resolve_request_headers as headers; headers()"
    assert run(f"lean.mlflow(); {ask}; print('feast' in sys.modules)") == "False"


def test_feast_compiles_nothing_of_its_own_anew() -> None:
    """Feast's classes are as they are written, and type checks work for everybody else."""
    checks = "lean.feast().Entity.__init__.__code__.co_names.count('typeguard')"
    found = run(f"print({checks}); import typeguard; print(typeguard.typechecked.__name__)")
    assert found == "0\ntypechecked"
