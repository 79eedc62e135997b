"""The specification of one attempt: what a function writes and a workload reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

from refit_contract import schema
from refit_contract.errors import BadInputError

Split = Literal["hash", "time"]


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """An object in the store, identified by its content.

    `digest` is "sha256:<hex>" or empty when unknown; `bytes` is its size or -1 when
    unknown; `etag` and `version` pin an uploaded object that refit did not write.
    """

    uri: str
    digest: str = ""
    bytes: int = -1
    etag: str = ""
    version: str = ""

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Artifact:
        """Return the artifact in `value`, ignoring fields of later versions."""
        return cls(
            uri=value["uri"],
            digest=value.get("digest", ""),
            bytes=value.get("bytes", -1),
            etag=value.get("etag", ""),
            version=value.get("version", ""),
        )

    def json(self) -> dict[str, Any]:
        """Return the form written to `result.json`."""
        return {"uri": self.uri, "digest": self.digest, "bytes": self.bytes}


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """The run's resolved parameters; `extra` holds the ones this version does not know."""

    entity_data_path: str = ""
    test_split_ratio: float = 0.2
    num_hpo_trials: int = 20
    f1_threshold: float = 0.85
    model_name: str = "spam-detector"
    seed: int = 42
    split: Split = "hash"
    num_workers: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Parameters:
        """Return the parameters in `value`; a missing one has its default."""
        known = set(cls.__dataclass_fields__) - {"extra"}
        given = {k: v for k, v in value.items() if k in known}
        extra = {k: v for k, v in value.items() if k not in known}
        return cls(**given, extra=MappingProxyType(extra))


@dataclass(frozen=True, kw_only=True)
class Data:
    """The uploaded object that the run trains on; `landed_at` is its LastModified, in UTC."""

    uri: str
    landed_at: datetime
    digest: str = ""
    etag: str = ""
    version: str = ""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One attempt of one stage of one run. Times are aware datetimes."""

    run: str
    stage: str
    attempt: int
    inputs: Mapping[str, Artifact]
    output: str
    parameters: Parameters
    deadline: datetime
    data: Data
    image: str = "local"
    commit: str = ""

    @classmethod
    def parse(cls, text: str | bytes) -> Spec:
        """Return the spec in the JSON `text`.

        Raises BadInputError listing everything that the schema does not accept.
        """
        try:
            value = json.loads(text)
        except ValueError as err:
            raise BadInputError(f"the spec is not JSON: {err}") from err
        if found := schema.problems("spec", value):
            raise BadInputError("the spec does not match its schema: " + "; ".join(found))
        return cls(
            run=value["run"],
            stage=value["stage"],
            attempt=value["attempt"],
            inputs=MappingProxyType({k: Artifact.parse(v) for k, v in value["inputs"].items()}),
            output=value["output"],
            parameters=Parameters.parse(value["parameters"]),
            deadline=_time("deadline", value["deadline"]),
            data=_data(value["data"]),
            image=value.get("image", "local"),
            commit=value.get("commit", ""),
        )

    def input(self, name: str) -> Artifact:
        """Return the input `name`.

        Raises BadInputError listing the inputs there are when it is missing.
        """
        try:
            return self.inputs[name]
        except KeyError:
            have = ", ".join(sorted(self.inputs)) or "none"
            raise BadInputError(f"the spec has no input {name!r} for stage {self.stage}; it has: {have}") from None


def _data(value: Mapping[str, Any]) -> Data:
    return Data(
        uri=value["uri"],
        landed_at=_time("data.landed_at", value["landed_at"]),
        digest=value.get("digest", ""),
        etag=value.get("etag", ""),
        version=value.get("version", ""),
    )


def _time(name: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as err:
        raise BadInputError(f"{name} {text!r} is no RFC 3339 time: {err}") from err
