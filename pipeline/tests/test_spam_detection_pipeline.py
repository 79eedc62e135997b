from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from refit_contract.definition import LIMITS
from refit_contract.plan import PLAN
from refit_contract.spec import Parameters
from spam_detection_pipeline import GOLDEN, Images, compiled, main

STEPS = ["prepare", "features", "train", "tune", "evaluate"]


@pytest.fixture(scope="module")
def documents() -> list[dict[str, Any]]:
    """Return the committed pipeline: its IR, and what it says to Kubernetes."""
    return list(yaml.safe_load_all(GOLDEN.read_text()))


@pytest.fixture
def spec(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the IR of the committed pipeline."""
    return documents[0]


def test_the_committed_pipeline_is_what_compiles() -> None:
    """The golden file is the pipeline of the default images, byte for byte, each time it is compiled."""
    first, second = compiled(Images()), compiled(Images())

    assert first == second
    assert first == GOLDEN.read_bytes(), "run make compile-pipeline and look at the difference"


def test_the_images_are_those_that_were_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """REGISTRY and IMAGE_TAG name all images, the one in the arguments too; an empty one has its default."""
    monkeypatch.setenv("REGISTRY", "registry.example/team/")
    monkeypatch.setenv("IMAGE_TAG", "v2")

    assert main(["--output", str(tmp_path / "pipeline.yaml")]) == 0

    text = (tmp_path / "pipeline.yaml").read_text()
    default = GOLDEN.read_text()
    assert text == default.replace("dev.local/", "registry.example/team/").replace(":v1.0", ":v2")
    assert Images.parse({"REGISTRY": "", "IMAGE_TAG": ""}) == Images()


def test_the_parameters_are_refits(spec: dict[str, Any]) -> None:
    """The five parameters have the defaults of every other run."""
    defaults = Parameters()
    found = {name: value["defaultValue"] for name, value in spec["root"]["inputDefinitions"]["parameters"].items()}

    assert found.pop("entity_data_path") == "datasets/processed/emails/all_emails.parquet"
    assert found == {name: getattr(defaults, name) for name in LIMITS if name != "entity_data_path"}


def test_the_five_stages_follow_each_other(spec: dict[str, Any]) -> None:
    """Each stage runs its module in its image, as a task of its own, after those whose results it reads."""
    tasks, executors = spec["root"]["dag"]["tasks"], spec["deploymentSpec"]["executors"]
    stages, modules = [], []
    for step in STEPS:
        arguments = executors[f"exec-{step}"]["container"]["args"]
        stages.append(arguments[arguments.index("--stage") + 1])
        modules.append(arguments[arguments.index("--module") + 1])

    assert stages == list(PLAN)
    assert modules == [
        "refit_data_prep.prepare",
        "refit_data_prep.features",
        "refit_ray_train.train",
        "refit_ray_train.tune",
        "refit_mlflow_ops.evaluate",
    ]
    assert {step: tasks[step].get("dependentTasks", []) for step in STEPS} == {
        "prepare": [],
        "features": ["prepare"],
        "train": ["features", "prepare"],
        "tune": ["features", "prepare", "train"],
        "evaluate": ["features", "prepare", "train", "tune"],
    }


def test_every_step_is_tried_again_and_never_cached(spec: dict[str, Any]) -> None:
    """Each container has retries; a cached result would be of another run."""
    gated = spec["components"]["comp-condition-1"]["dag"]["tasks"]["register"]
    for task in [*(spec["root"]["dag"]["tasks"][step] for step in STEPS), gated]:
        assert task["retryPolicy"]["maxRetryCount"] == 2
        assert task["cachingOptions"] == {}


def test_only_the_gate_leads_to_the_registration(spec: dict[str, Any]) -> None:
    """The model is registered if the evaluation's F1 reaches f1_threshold, and nothing else runs then."""
    gate = spec["root"]["dag"]["tasks"]["condition-1"]

    assert gate["triggerPolicy"]["condition"] == (
        "inputs.parameter_values['pipelinechannel--evaluate-f1']"
        " >= inputs.parameter_values['pipelinechannel--f1_threshold']"
    )
    assert list(spec["components"]["comp-condition-1"]["dag"]["tasks"]) == ["register"]
    assert set(spec["root"]["dag"]["tasks"]) == {*STEPS, "condition-1"}


def test_no_argument_waits_for_a_shell_or_a_concatenation(spec: dict[str, Any]) -> None:
    """Kubeflow replaces placeholders and does nothing else; no shell sees a parameter."""
    for executor in spec["deploymentSpec"]["executors"].values():
        container = executor["container"]
        assert container["command"][:2] == ["python", "-m"]
        assert not [a for a in container["args"] if "Concat" in a or "IfPresent" in a]


def test_every_container_has_the_clusters_settings(documents: list[dict[str, Any]]) -> None:
    """Each executor reads the ConfigMap and the Secret by reference; no value is in the file."""
    executors = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]

    assert set(executors) == set(documents[0]["deploymentSpec"]["executors"])
    for executor in executors.values():
        assert executor["configMapAsEnv"][0]["configMapNameParameter"] == {"runtimeValue": {"constant": "refit"}}
        assert executor["secretAsEnv"][0]["secretName"] == "refit-s3"
        assert {key["envVar"] for key in executor["secretAsEnv"][0]["keyToEnv"]} == {
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
        }
