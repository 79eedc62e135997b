from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracttest.s3 import FakeS3
from refit_contract import step
from refit_contract.plan import PLAN
from refit_contract.run import EXIT_FAILED, EXIT_USAGE

SUCCEEDS = """
import json, sys
from refit_contract.store import Store
uri = sys.argv[1]
spec = json.loads(Store().read(uri))
assert len(sys.argv) == 2
Store().put_json(spec["output"] + "result.json", {
    "run": spec["run"], "figures": {"f1": 0.9} if spec["stage"] == "register" else {},
    "artifacts": {"train": {"uri": spec["output"] + "train.parquet", "digest": "sha256:" + "0" * 64, "bytes": 1}},
})
"""


@pytest.fixture(autouse=True)
def _environment(s3: FakeS3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name, value in {**s3.env(), "PYTHONPATH": f"{tmp_path}:{Path(step.__file__).parents[1]}"}.items():
        monkeypatch.setenv(name, value)
    for name in ("REFIT_BUCKET", "REFIT_LANDING_BUCKET", "REFIT_DEADLINE", "REFIT_COMMIT"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "succeeds.py").write_text(SUCCEEDS)
    (tmp_path / "fails.py").write_text("import sys; sys.exit(1)")
    s3.objects["/landing/in mail/ü.parquet"] = b"mail"
    root = logging.getLogger()
    handlers = root.handlers[:]
    yield
    root.handlers[:] = handlers


def prepare(folder: Path, *arguments: str, module: str = "succeeds") -> int:
    """Run the first step, which writes its outputs into `folder`."""
    return step.main(
        [
            *("--stage", "prepare", "--module", module, "--job", "job-1", "--image", "i:v1"),
            *("--set", "entity_data_path=in mail/ü.parquet", "--set", "num_hpo_trials=3"),
            *("--output-run", f"{folder}/run", "--output-result", f"{folder}/result"),
            *("--output-artifacts", f"{folder}/artifacts", *arguments),
        ]
    )


def written(s3: FakeS3, uri: str) -> Any:
    """Return the JSON object at `uri`."""
    return json.loads(s3.objects[uri.removeprefix("s3:/")])


def test_the_first_step_defines_the_run_and_hands_it_on(s3: FakeS3, tmp_path: Path) -> None:
    """It writes run.json and spec.json, runs the module on the spec, and names run, result and artifacts."""
    assert prepare(tmp_path / "out") == 0

    run, result = (tmp_path / "out/run").read_text(), (tmp_path / "out/result").read_text()
    folder = f"s3://refit/kubeflow/runs/{run}/prepare/1/"
    spec = written(s3, folder + "spec.json")
    assert result == folder + "result.json"
    assert json.loads((tmp_path / "out/artifacts").read_text()) == {"train": folder + "train.parquet"}
    assert (spec["run"], spec["attempt"], spec["image"]) == (run, 1, "i:v1")
    assert spec["inputs"] == {
        "entity_data": {k: v for k, v in spec["data"].items() if k in {"uri", "bytes", "etag", "version"}}
    }
    assert spec["parameters"] == written(s3, f"s3://refit/kubeflow/runs/{run}/run.json")["parameters"]
    assert spec["parameters"]["num_hpo_trials"] == 3


def test_a_retry_is_a_new_attempt_of_the_same_run(s3: FakeS3, tmp_path: Path) -> None:
    """A step that failed has its folder; the next try gets the next one."""
    assert prepare(tmp_path / "first", module="fails") == EXIT_FAILED
    assert not (tmp_path / "first").exists()
    assert prepare(tmp_path / "second") == 0

    assert (tmp_path / "second/result").read_text().endswith("/prepare/2/result.json")
    assert len([key for key in s3.objects if key.endswith("run.json")]) == 1


def test_a_later_step_reads_the_results_before_it(s3: FakeS3, tmp_path: Path) -> None:
    """It gets the run's id and results, and its spec has the inputs that its stage reads."""
    prepare(tmp_path)
    run, result = (tmp_path / "run").read_text(), (tmp_path / "result").read_text()
    made = written(s3, result)
    made["artifacts"] |= dict.fromkeys(("test", "entities", "report"), made["artifacts"]["train"])
    s3.objects[result.removeprefix("s3:/")] = json.dumps(made).encode()

    assert (
        step.main(["--stage", "features", "--module", "succeeds", "--run", run, "--result", result]) == 0
    )  # no output is asked for

    spec = written(s3, f"s3://refit/kubeflow/runs/{run}/features/1/spec.json")
    assert sorted(spec["inputs"]) == ["entities", "test", "train"]


def test_the_f1_is_handed_on(s3: FakeS3, tmp_path: Path) -> None:
    """The figure that the gate looks at is written as a number."""
    prepare(tmp_path)
    run, result = (tmp_path / "run").read_text(), (tmp_path / "result").read_text()
    made = written(s3, result)
    made["artifacts"] |= dict.fromkeys(PLAN["register"].required, made["artifacts"]["train"])
    s3.objects[result.removeprefix("s3:/")] = json.dumps(made).encode()

    step.main(
        [
            *("--stage", "register", "--module", "succeeds", "--run", run, "--result", result),
            *("--output-f1", f"{tmp_path}/f1"),
        ]
    )

    assert (tmp_path / "f1").read_text() == "0.9"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--job", "j", "--set", "f1_threshold=2"], "parameter f1_threshold='2': accepted is a number from 0 to 1"),
        (["--job", "j", "--set", "entity_data_path=gone"], "cannot look at s3://landing/gone"),
        (["--run", "../secret"], "--run is '../secret'; accepted is an id such as"),
        (["--run", "r-20261123-060000-0a1b2c3d"], "cannot read s3://refit/kubeflow/runs/r-20261123-060000-0a1b2c3d"),
    ],
)
def test_a_step_that_cannot_begin_says_why(
    s3: FakeS3, caplog: pytest.LogCaptureFixture, arguments: list[str], message: str
) -> None:
    """Nothing is written then, and the module does not run."""
    before = set(s3.objects)

    assert step.main(["--stage", "prepare", "--module", "succeeds", *arguments]) == EXIT_USAGE

    assert message in caplog.text
    assert set(s3.objects) == before


def test_results_of_another_run_are_refused(s3: FakeS3, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A step mixes no two runs."""
    prepare(tmp_path)
    run = (tmp_path / "run").read_text()
    s3.objects["/refit/other/result.json"] = b'{"run": "r-other", "artifacts": {}}'

    code = step.main(
        ["--stage", "features", "--module", "succeeds", "--run", run, "--result", "s3://refit/other/result.json"]
    )

    assert code == EXIT_USAGE
    assert f"is a result of run r-other, this step is of run {run}" in caplog.text


@pytest.mark.parametrize(("text", "seconds"), [("90m", 5400), ("1h30m0s", 5400), ("1.5s", 1.5), ("250ms", 0.25)])
def test_the_deadline_is_the_functions_duration(text: str, seconds: float) -> None:
    """REFIT_DEADLINE is written as for the functions."""
    assert step.Settings.parse({"REFIT_DEADLINE": text}).deadline.total_seconds() == seconds


@pytest.mark.parametrize("text", ["0s", "90", "-1h", "1h x"])
def test_a_deadline_that_is_none_is_refused(text: str, caplog: pytest.LogCaptureFixture) -> None:
    """The message names the value."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REFIT_DEADLINE", text)
        assert step.main(["--stage", "prepare", "--module", "succeeds", "--job", "j"]) == EXIT_USAGE
    assert f"setting REFIT_DEADLINE={text!r}: accepted is a duration such as 90m" in caplog.text
