"""A run's definition, `run.json`: made once, and all that its stages use.

A run that the functions start is defined by them. This is for a run that another conductor
leads, such as Kubeflow Pipelines. Its state has the layout of any run, below a prefix of its own:
what lies directly in `runs/` the platform's sweep carries on with, and a run has one conductor.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from refit_contract.errors import BadInputError
from refit_contract.spec import Parameters
from refit_contract.store import Store

RUN_ID: Final = re.compile(r"r-\d{8}-\d{6}-[0-9a-f]{8}")
"""The form of a run's id."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, kw_only=True)
class Limit:
    """The values that a parameter accepts: in words, and as a reader that gives None for others."""

    accepts: str
    read: Callable[[str], Any]


def _number(low: float, high: float) -> Callable[[str], float | None]:
    def read(text: str) -> float | None:
        try:
            value = float(text)
        except ValueError:
            return None
        return value if low <= value <= high else None

    return read


def _whole(low: int, high: int) -> Callable[[str], int | None]:
    number = _number(low, high)

    def read(text: str) -> int | None:
        value = number(text)
        return None if value is None or value != math.floor(value) else int(value)

    return read


def _key(text: str) -> str | None:
    fits = 1 <= len(text.encode()) <= 1024
    return text if fits and not _CONTROL.search(text) else None


def _name(text: str) -> str | None:
    return text if _NAME.fullmatch(text) else None


LIMITS: Final[Mapping[str, Limit]] = MappingProxyType(
    {
        "entity_data_path": Limit(
            accepts="the key of an object in the landing bucket, 1 to 1024 bytes without control characters",
            read=_key,
        ),
        "test_split_ratio": Limit(accepts="a number from 0.05 to 0.5", read=_number(0.05, 0.5)),
        "num_hpo_trials": Limit(accepts="a whole number from 1 to 10000", read=_whole(1, 10000)),
        "f1_threshold": Limit(accepts="a number from 0 to 1", read=_number(0, 1)),
        "model_name": Limit(
            accepts="1 to 128 letters, digits, dots, dashes and underscores, a letter or digit first",
            read=_name,
        ),
    }
)
"""The five parameters of the pipeline; a test holds them to those of the events."""


def parse(settings: list[str]) -> Parameters:
    """Return the parameters that `settings`, each name=value, set; the others have their defaults.

    Raises BadInputError naming every value that is not accepted.
    """
    values, problems = {}, []
    for setting in settings:
        name, _, text = setting.partition("=")
        if name not in LIMITS:
            problems.append(f"unknown parameter {name!r}: accepted are {', '.join(LIMITS)}")
        elif (value := LIMITS[name].read(text)) is None:
            problems.append(f"parameter {name}={text!r}: accepted is {LIMITS[name].accepts}")
        else:
            values[name] = value
    if problems:
        raise BadInputError("; ".join(problems))
    return Parameters(**values)


@dataclass(frozen=True, kw_only=True)
class Conductor:
    """Who leads a run that the functions do not: a name and the id that it knows the run by."""

    name: str
    id: str

    def claim(self) -> str:
        """Return the digest that stands for the run, one for each name and id."""
        return digest("request", self.name, self.id)


def define(
    store: Store,
    *,
    state: str,
    landing: str,
    conductor: Conductor,
    parameters: Parameters,
    commit: str = "",
    now: datetime | None = None,
) -> dict[str, Any]:
    """Return the definition of the conductor's run, made now unless it was made before.

    `state` is the prefix of the runs' state, `landing` that of the uploads, both ending in a
    slash. The first definition stays: a retry gets the very same run, of the same data. Raises
    InputChangedError when there is no such upload.
    """
    claim = f"{state}claims/{conductor.claim()}"
    value = _definition(store, landing, conductor, parameters, commit, now or datetime.now(UTC))
    body = json.dumps(value, indent=2).encode()
    if not store.create(claim, body):
        body = store.read(claim)
        value = json.loads(body)
    store.create(f"{state}runs/{value['run']}/run.json", body)
    return value


def _definition(
    store: Store,
    landing: str,
    conductor: Conductor,
    parameters: Parameters,
    commit: str,
    now: datetime,
) -> dict[str, Any]:
    run = f"r-{now:%Y%m%d-%H%M%S}-{conductor.claim()[:8]}"
    data, landed = store.stat(landing + parameters.entity_data_path)
    given = asdict(parameters)
    given.pop("extra")
    pinned = {"etag": data.etag, "version": data.version}
    return {
        "run": run,
        "parameters": given,
        "data": {
            "uri": data.uri,
            "bytes": data.bytes,
            **{k: v for k, v in pinned.items() if v},
            "landed_at": rfc3339(landed),
        },
        "cause": {"type": f"{conductor.name}.run", "source": conductor.name, "id": conductor.id},
        "commit": commit,
        "traceparent": f"00-{digest(run)[:32]}-{digest(run)[:16]}-01",
        "created_at": rfc3339(now),
    }


def rfc3339(time: datetime) -> str:
    """Return `time` in UTC with whole seconds, ending in Z."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def digest(*parts: str) -> str:
    """Return the SHA-256 of `parts` in hex; their borders count, as in the ids of the functions."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(f"{len(part.encode())}:{part}".encode())
    return sha.hexdigest()
