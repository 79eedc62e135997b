"""Which artifacts of the stages before a stage reads: what the five functions plan, for whoever else runs a stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from refit_contract.errors import BadInputError
from refit_contract.spec import Artifact


@dataclass(frozen=True, kw_only=True)
class Reads:
    """The artifacts that a stage reads by name; the `optional` ones only where they exist."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    def pick(self, artifacts: Mapping[str, Artifact]) -> dict[str, Artifact]:
        """Return those of `artifacts` that the stage reads.

        Raises BadInputError naming every required one that is missing.
        """
        if missing := [name for name in self.required if name not in artifacts]:
            have = ", ".join(sorted(artifacts)) or "none"
            raise BadInputError(f"no stage before made the artifact {', '.join(missing)}; there are: {have}")
        names = (*self.required, *self.optional)
        return {name: artifacts[name] for name in names if name in artifacts}


PLAN: Final[Mapping[str, Reads]] = MappingProxyType(
    {
        "prepare": Reads(required=("entity_data",)),
        "features": Reads(required=("train", "test", "entities")),
        "train": Reads(required=("train_matrix",)),
        "tune": Reads(required=("train_matrix", "baseline_choice")),
        "register": Reads(
            required=(
                "entities",
                "report",
                "train_matrix",
                "test_matrix",
                "tfidf",
                "senders",
                "baseline",
                "baseline_choice",
                "tuned",
                "tuned_choice",
            ),
            optional=("test_raw", "trials"),
        ),
    }
)
"""What each stage reads; a test holds it to the functions' own plans."""
