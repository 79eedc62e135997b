"""What a stage chose on validation, as the file that goes with its model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refit_contract import BadInputError
from refit_ray_train.booster import Parameters
from refit_ray_train.threshold import Figures


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Everything that makes the model anew from train: parameters, rounds and seed.

    `validation` are the figures that the choice was made on, its threshold among them.
    """

    parameters: Parameters
    rounds: int
    seed: int
    validation: Figures

    def json(self) -> dict[str, Any]:
        """Return the content of the choice file."""
        figures = self.validation.json()
        return {
            "parameters": self.parameters.json(),
            "rounds": self.rounds,
            "threshold": figures.pop("threshold"),
            "seed": self.seed,
            "validation": figures,
        }

    def figures(self) -> dict[str, Any]:
        """Return the stage's figures that come from the choice."""
        return {**self.validation.json(), "rounds": self.rounds}

    def write(self, path: Path) -> Path:
        """Write the choice file `path` and return it; equal choices give equal bytes."""
        path.write_text(json.dumps(self.json(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
        return path

    @classmethod
    def read(cls, path: Path) -> Choice:
        """Return the choice in the file `path`.

        Raises BadInputError naming the field when one is missing.
        """
        content = json.loads(path.read_text(encoding="utf-8"))
        try:
            return cls(
                parameters=Parameters.parse(content["parameters"]),
                rounds=int(content["rounds"]),
                seed=int(content["seed"]),
                validation=Figures(**content["validation"], threshold=content["threshold"]),
            )
        except (KeyError, TypeError) as err:
            raise BadInputError(f"the choice file has no usable field: {err}; train again") from err
