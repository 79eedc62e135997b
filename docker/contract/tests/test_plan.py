from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from refit_contract.errors import BadInputError
from refit_contract.plan import PLAN
from refit_contract.spec import Artifact

SHARED: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "test" / "pipeline" / "testdata" / "contract.json").read_text()
)


def test_a_step_reads_what_the_function_plans() -> None:
    """The table is the one that the functions are held to, stage for stage."""
    found = {
        stage: {"required": sorted(reads.required), "optional": sorted(reads.optional)} for stage, reads in PLAN.items()
    }

    assert found == SHARED["reads"]


def test_optional_artifacts_are_read_where_they_exist() -> None:
    """What no stage before made is left out if it is optional, and what the stage does not read always."""
    made = {name: Artifact(uri=f"s3://refit/{name}") for name in (*PLAN["register"].required, "trials", "train")}

    assert sorted(PLAN["register"].pick(made)) == sorted((*PLAN["register"].required, "trials"))


def test_a_missing_artifact_is_named() -> None:
    """The message names all that is missing and what there is."""
    with pytest.raises(BadInputError, match="made the artifact train_matrix, baseline_choice; there are: test"):
        PLAN["tune"].pick({"test": Artifact(uri="s3://refit/test")})
