from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from refit_contract.errors import BadInputError
from refit_contract.spec import Artifact, Spec


def test_a_spec_is_read_with_its_types(spec_value: dict[str, Any]) -> None:
    """Times are aware datetimes, inputs artifacts, and a missing parameter has its default."""
    spec = Spec.parse(json.dumps(spec_value))

    assert spec.deadline == datetime(2099, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)
    assert spec.data.landed_at == datetime(2026, 11, 23, 5, 59, 58, tzinfo=UTC)
    assert spec.input("train") == Artifact(uri=spec_value["inputs"]["train"]["uri"], bytes=3)
    assert (spec.parameters.seed, spec.parameters.split, spec.parameters.num_workers) == (7, "time", 1)


def test_unknown_fields_survive(spec_value: dict[str, Any]) -> None:
    """A newer function may add fields and parameters; an older workload reads the spec all the same."""
    spec_value["new"] = 1
    spec_value["data"]["new"] = 1

    assert dict(Spec.parse(json.dumps(spec_value)).parameters.extra) == {"later": [1]}


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("attempt",), 0, "attempt"),
        (("stage",), "deploy", "deploy"),
        (("output",), "/tmp/out/", "/tmp/out/"),
        (("output",), "s3://refit/out", "s3://refit/out"),
        (("deadline",), "tomorrow", "tomorrow"),
        (("deadline",), "2026-13-01T00:00:00Z", "2026-13-01"),
        (("parameters", "test_split_ratio"), 1.0, "parameters.test_split_ratio"),
        (("parameters", "seed"), "42", "parameters.seed"),
        (("parameters", "split"), "random", "random"),
    ],
)
def test_a_bad_value_is_named(spec_value: dict[str, Any], path: tuple[str, ...], value: object, named: str) -> None:
    """A spec outside its schema is refused with the field or value that is wrong."""
    target = spec_value
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value

    with pytest.raises(BadInputError, match=named):
        Spec.parse(json.dumps(spec_value))


def test_what_is_no_json_is_refused() -> None:
    """A broken file is a BadInputError too, not a crash."""
    with pytest.raises(BadInputError, match="not JSON"):
        Spec.parse(b"{")


def test_a_missing_input_lists_what_there_is(spec_value: dict[str, Any]) -> None:
    """Asking for an input that the spec lacks names the inputs that it has."""
    with pytest.raises(BadInputError, match=r"no input 'test'.*it has: train"):
        Spec.parse(json.dumps(spec_value)).input("test")
