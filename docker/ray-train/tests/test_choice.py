from __future__ import annotations

import json
from pathlib import Path

import pytest

from refit_contract import BadInputError
from refit_ray_train.booster import Parameters
from refit_ray_train.choice import Choice
from refit_ray_train.threshold import Figures

CHOICE = Choice(
    parameters=Parameters(max_depth=4),
    rounds=17,
    seed=7,
    validation=Figures(f1=0.9, precision=0.8, recall=1.0, auc=0.99, log_loss=0.1, threshold=0.4375),
)


def test_a_choice_survives_its_file(tmp_path: Path) -> None:
    """Reading gives what was written, and equal choices give equal bytes."""
    one, two = CHOICE.write(tmp_path / "one.json"), CHOICE.write(tmp_path / "two.json")
    assert Choice.read(one) == CHOICE
    assert one.read_bytes() == two.read_bytes()


def test_the_file_has_the_names_of_the_contract(tmp_path: Path) -> None:
    """The evaluate stage finds the threshold on top and the figures under `validation`."""
    content = json.loads(CHOICE.write(tmp_path / "choice.json").read_text())
    assert set(content) == {"parameters", "rounds", "threshold", "seed", "validation"}
    assert content["threshold"] == 0.4375
    assert set(content["validation"]) == {"f1", "precision", "recall", "auc", "log_loss"}


def test_a_choice_without_a_field_is_refused(tmp_path: Path) -> None:
    """The message names the field that is missing."""
    content = CHOICE.json()
    del content["rounds"]
    path = tmp_path / "choice.json"
    path.write_text(json.dumps(content))
    with pytest.raises(BadInputError, match="rounds"):
        Choice.read(path)
