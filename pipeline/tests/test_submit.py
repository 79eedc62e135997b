from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import submit
from pipelinetest.kubeflow import FakeKubeflow

PIPELINE = Path(submit.__file__).with_name("spam_detection_pipeline.yaml")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, kubeflow: FakeKubeflow) -> None:
    for name in ("KFP_TOKEN", "KFP_EXPERIMENT", "KFP_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KFP_HOST", kubeflow.url + "/")


def test_the_compiled_pipeline_is_submitted_whole(kubeflow: FakeKubeflow, capsys: pytest.CaptureFixture[str]) -> None:
    """Both documents of the YAML go along inline, a run starts, and its page is all that is printed."""
    assert submit.main(["--set", "num_hpo_trials=3", "--set", "f1_threshold=0.7", "--name", "mine"]) == 0

    [(path, run)] = kubeflow.requests
    spec, platform = yaml.safe_load_all(PIPELINE.read_text())
    assert path == "POST /apis/v2beta1/runs"
    assert run == {
        "display_name": "mine",
        "pipeline_spec": {"pipeline_spec": spec, "platform_spec": platform},
        "runtime_config": {"parameters": {"num_hpo_trials": 3, "f1_threshold": 0.7}},
    }
    assert capsys.readouterr().out == f"{kubeflow.url}/#/runs/details/8f6c\n"


def test_the_token_goes_along(kubeflow: FakeKubeflow, monkeypatch: pytest.MonkeyPatch) -> None:
    """KFP_TOKEN is sent as bearer token, and nothing is sent without it."""
    submit.main([])
    monkeypatch.setenv("KFP_TOKEN", "secret")
    submit.main([])

    assert [headers.get("Authorization") for headers in kubeflow.headers] == [None, "Bearer secret"]


def test_the_experiment_is_made_once(kubeflow: FakeKubeflow, monkeypatch: pytest.MonkeyPatch) -> None:
    """An experiment that is not there is made, one that is there is used."""
    monkeypatch.setenv("KFP_EXPERIMENT", "spam")
    monkeypatch.setenv("KFP_NAMESPACE", "team")

    assert [submit.main([]), submit.main([])] == [0, 0]

    assert [path for path, _ in kubeflow.requests] == [
        "GET /apis/v2beta1/experiments",
        "POST /apis/v2beta1/experiments",
        "POST /apis/v2beta1/runs",
        "GET /apis/v2beta1/experiments",
        "POST /apis/v2beta1/runs",
    ]
    assert kubeflow.requests[1][1] == {"display_name": "spam", "namespace": "team"}
    assert kubeflow.requests[2][1]["experiment_id"] == "e-1"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("trials=3", "accepted are entity_data_path, f1_threshold, model_name, num_hpo_trials, test_split_ratio"),
        ("num_hpo_trials=many", "accepted is a number (NUMBER_INTEGER)"),
    ],
)
def test_a_setting_that_is_none_starts_nothing(
    kubeflow: FakeKubeflow, capsys: pytest.CaptureFixture[str], setting: str, message: str
) -> None:
    """The message names the setting and what is accepted."""
    assert submit.main(["--set", setting]) == 1
    assert kubeflow.requests == []
    assert f"submit: --set '{setting}': {message}" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["", "localhost:8080", "ftp://kubeflow"])
def test_a_host_that_is_none_is_refused(
    host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """KFP_HOST must be a URL that can be asked."""
    monkeypatch.setenv("KFP_HOST", host)
    assert submit.main([]) == 1
    assert f"KFP_HOST is {host!r}; accepted is a URL such as http://localhost:8080" in capsys.readouterr().err


def test_a_refusal_says_why(kubeflow: FakeKubeflow, capsys: pytest.CaptureFixture[str]) -> None:
    """Kubeflow's own words and what to do about them are shown."""
    kubeflow.refusal = 401
    assert submit.main([]) == 1
    assert "refused POST runs: 401 no token; set KFP_TOKEN to a token" in capsys.readouterr().err


def test_nobody_at_the_host_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A host that does not answer is named, with the likely reason."""
    monkeypatch.setenv("KFP_HOST", "http://127.0.0.1:1")
    assert submit.main([]) == 1
    assert "http://127.0.0.1:1 does not answer" in capsys.readouterr().err


def test_the_contract_refuses_what_it_does_not_know(kubeflow: FakeKubeflow) -> None:
    """The recorded contract is worth something: a field that is not in it is refused."""
    with pytest.raises(submit.SubmitError, match=r"400 .*pipeline_id"):
        submit.Kubeflow(host=kubeflow.url).start({"display_name": "mine", "pipeline_id": "p"})
