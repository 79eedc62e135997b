"""The logged model: raw mail in, probability and label out, in Python and over HTTP."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pytest

from evaluatetest import tracked
from evaluatetest.world import NOW, World
from refit_contract import wait_for
from refit_mlflow_ops import model, rehearsal

PORT = 7501
TAGS = {"refit.run": "r-20261123-060000-0a1b2c3d", "refit.attempt": "1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder with an MLflow in it, which is the current one."""
    path = tmp_path_factory.mktemp("mlflow")
    with tracked.store(path):
        yield path


@pytest.fixture(scope="module")
def logged(world: World, folder: Path) -> model.Logged:
    """Return the tuned candidate, logged."""
    return tracked.log(world, folder, tags=TAGS)


@pytest.fixture(scope="module")
def local(logged: model.Logged, folder: Path) -> Path:
    """Return the logged model's files on disk."""
    import mlflow.artifacts

    return Path(mlflow.artifacts.download_artifacts(logged.uri, dst_path=str(folder / "local")))


def test_an_attempt_logs_its_model_once(world: World, folder: Path, logged: model.Logged) -> None:
    """The same attempt again finds its model; another attempt logs another one."""
    assert tracked.log(world, folder, tags=TAGS) == logged
    other = tracked.log(world, folder, tags={**TAGS, "refit.attempt": "2"})
    assert other.id != logged.id


def test_the_model_says_what_it_takes(local: Path, logged: model.Logged) -> None:
    """Signature, input example, threshold, pinned requirements and code are with the model."""
    import mlflow

    described = mlflow.models.Model.load(str(local))
    assert described.signature == model.signature()
    assert (described.metadata or {})["threshold"] == 0.5
    example: Any = described.load_input_example(str(local))
    assert example["raw"].tolist() == list(model.EXAMPLES)
    assert mlflow.get_logged_model(logged.id).tags["threshold"] == "0.500000"
    pinned = (local / "requirements.txt").read_text().split()
    assert set(model.requirements()) <= set(pinned)
    assert all("==" in line for line in pinned)
    assert not list(local.rglob("*.pkl"))


def test_the_lock_file_has_what_the_model_needs() -> None:
    """What the served model requires is what the images install, version for version."""
    lock = Path(__file__).parents[2] / "python" / "requirements.txt"
    locked = {line.split()[0] for line in lock.read_text().splitlines() if "==" in line}
    assert set(model.requirements()) <= locked


def test_bytes_text_and_base64_are_the_same_mail(world: World, local: Path) -> None:
    """The model answers alike however the mail is handed over, and mail that is no UTF-8 too."""
    import mlflow.pyfunc
    import pandas as pd

    loaded = mlflow.pyfunc.load_model(str(local))
    plain = [mail for mail in world.raw if b"\xe9" not in mail][:20]
    binary = loaded.predict(pd.DataFrame({"raw": plain}))
    text = loaded.predict(pd.DataFrame({"raw": [mail.decode() for mail in plain]}))
    coded = pd.DataFrame({"raw": [base64.b64encode(mail).decode() for mail in plain]})
    base = loaded.predict(coded, params={"encoding": "base64"})
    pd.testing.assert_frame_equal(binary, text)
    pd.testing.assert_frame_equal(binary, base)
    assert list(binary.columns) == ["probability", "label"]
    odd = [mail for mail in world.raw if b"\xe9" in mail and b"\xc3\xa9" not in mail]
    assert odd
    assert loaded.predict(pd.DataFrame({"raw": odd}))["probability"].between(0, 1).all()


def test_a_clean_interpreter_predicts_the_same(
    world: World, logged: model.Logged, folder: Path, tmp_path: Path
) -> None:
    """With nothing of ours on its path, the logged model gives the matrix's predictions."""
    import mlflow.pyfunc
    import polars as pl

    mails = world.folder / "test_raw.parquet"
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
    try:
        with rehearsal.scoring(name="logged", scratch=tmp_path) as scoring:
            scoring.begin(model=logged.uri, mails=mails, now=NOW)
            got = scoring.result(seconds=60)
    finally:
        del os.environ["MLFLOW_TRACKING_URI"]
    here = mlflow.pyfunc.load_model(logged.uri).predict(pl.read_parquet(mails).select("raw").to_pandas())
    np.testing.assert_allclose(got.probabilities, here["probability"], atol=1e-9)
    assert got.calls.tolist() == (here["label"] == "spam").tolist()


def test_the_model_serves_raw_mail_over_http(world: World, local: Path) -> None:
    """`mlflow models serve` answers raw mail as text and as base64, and refuses what is no mail."""
    import mlflow.pyfunc
    import pandas as pd

    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(local)]
    command += ["--env-manager", "local", "--port", str(PORT), "--host", "127.0.0.1"]
    binaries = Path(sys.executable).parent
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    env["PATH"] = f"{binaries}{os.pathsep}{env['PATH']}"
    server = subprocess.Popen(command, env=env, cwd=local.parent, start_new_session=True)
    try:
        wait_for(f"http://127.0.0.1:{PORT}/ping", deadline=datetime.now(UTC) + timedelta(seconds=60))
        mails = world.raw[:20]
        want = mlflow.pyfunc.load_model(str(local)).predict(pd.DataFrame({"raw": mails}))
        coded = [{"raw": base64.b64encode(mail).decode()} for mail in mails]
        body = {"dataframe_records": coded, "params": {"encoding": "base64"}}
        assert _post(body)["predictions"] == want.to_dict("records")
        text = {"dataframe_records": [{"raw": mails[1].decode()}]}
        assert _post(text)["predictions"] == want.to_dict("records")[1:2]
        assert "row 0 is int" in json.dumps(_post({"dataframe_records": [{"raw": 5}]}))
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _post(body: dict[str, Any]) -> Any:
    from urllib.error import HTTPError

    request = Request(
        f"http://127.0.0.1:{PORT}/invocations",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except HTTPError as err:
        return json.load(err)
