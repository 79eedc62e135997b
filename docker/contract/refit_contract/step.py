"""One stage as a step of a pipeline: `python -m refit_contract.step --stage … --module …`.

On the event path a function writes the spec and launches the workload. Here a step does: it
writes `run.json` (the first step) and `spec.json` in the functions' layout and schema, runs the
stage's own module on it, and hands its result on through the files that the pipeline names.
A step that is tried again works in a new attempt's folder.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from refit_contract import child, schema
from refit_contract.definition import RUN_ID, Conductor, define, parse, rfc3339
from refit_contract.errors import BadInputError, InternalError, WorkloadError
from refit_contract.plan import PLAN
from refit_contract.run import EXIT_USAGE
from refit_contract.spec import Artifact
from refit_contract.store import Store

PREFIX: Final = "kubeflow/"
"""Where the runs of pipelines lie in the state bucket, out of the functions' sight."""

CONDUCTOR: Final = "kubeflow-pipelines"
"""The name by which a run's cause tells that a pipeline leads it."""

_ATTEMPTS = 1000
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}

_log = logging.getLogger("refit")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the environment says: where state and uploads lie, and how long an attempt may take."""

    state: str
    landing: str
    deadline: timedelta
    commit: str

    @classmethod
    def parse(cls, env: Mapping[str, str]) -> Settings:
        """Return the settings in `env`: REFIT_BUCKET, REFIT_LANDING_BUCKET, REFIT_DEADLINE, REFIT_COMMIT.

        Raises BadInputError for a deadline that is no duration such as 90m.
        """
        return cls(
            state=f"s3://{env.get('REFIT_BUCKET') or 'refit'}/{PREFIX}",
            landing=f"s3://{env.get('REFIT_LANDING_BUCKET') or 'landing'}/",
            deadline=_duration(env.get("REFIT_DEADLINE") or "1h"),
            commit=env.get("REFIT_COMMIT", ""),
        )


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step: its arguments, the settings, and the store that it writes to."""

    arguments: argparse.Namespace
    settings: Settings
    store: Store

    def spec(self) -> str:
        """Write the spec of a new attempt and return its URI."""
        run = self._definition()
        artifacts = self._artifacts(run)
        inputs = PLAN[self.arguments.stage].pick(artifacts)
        for attempt in range(1, _ATTEMPTS):
            folder = f"{self.settings.state}runs/{run['run']}/{self.arguments.stage}/{attempt}/"
            if self.store.create(folder + "spec.json", self._spec(run, attempt, inputs, folder)):
                return folder + "spec.json"
        raise InternalError(f"{self.arguments.stage} of {run['run']} was tried {_ATTEMPTS} times; start a new run")

    def hand_on(self, spec: str) -> None:
        """Write what the next steps need of the attempt's result to the files that the pipeline names."""
        uri = spec.removesuffix("spec.json") + "result.json"
        result = json.loads(self.store.read(uri))
        values = {
            "run": result["run"],
            "result": uri,
            "artifacts": json.dumps({k: v["uri"] for k, v in sorted(result["artifacts"].items())}),
            "f1": repr(float(result["figures"].get("f1", 0.0))),
        }
        for name, value in values.items():
            if path := getattr(self.arguments, f"output_{name}"):
                _write(Path(path), value)

    def _definition(self) -> dict[str, Any]:
        if self.arguments.job:
            return define(
                self.store,
                state=self.settings.state,
                landing=self.settings.landing,
                conductor=Conductor(name=CONDUCTOR, id=self.arguments.job),
                parameters=parse(self.arguments.set),
                commit=self.settings.commit,
            )
        if not RUN_ID.fullmatch(self.arguments.run):
            raise BadInputError(
                f"--run is {self.arguments.run!r}; accepted is an id such as r-20260101-000000-0a1b2c3d"
            )
        found: dict[str, Any] = json.loads(self.store.read(f"{self.settings.state}runs/{self.arguments.run}/run.json"))
        return found

    def _artifacts(self, run: Mapping[str, Any]) -> dict[str, Artifact]:
        found = {"entity_data": Artifact.parse(run["data"])}
        for uri in self.arguments.result:
            result = json.loads(self.store.read(uri))
            if result["run"] != run["run"]:
                raise BadInputError(f"{uri} is a result of run {result['run']}, this step is of run {run['run']}")
            found |= {name: Artifact.parse(value) for name, value in result["artifacts"].items()}
        return found

    def _spec(self, run: Mapping[str, Any], attempt: int, inputs: Mapping[str, Artifact], folder: str) -> bytes:
        value = {
            "run": run["run"],
            "stage": self.arguments.stage,
            "attempt": attempt,
            "inputs": {name: _pinned(artifact) for name, artifact in inputs.items()},
            "output": folder,
            "parameters": run["parameters"],
            "image": self.arguments.image,
            "commit": run["commit"],
            "deadline": rfc3339(datetime.now(UTC) + self.settings.deadline),
            "data": run["data"],
        }
        if found := schema.problems("spec", value):
            raise InternalError("the spec does not match its schema: " + "; ".join(found))
        return json.dumps(value, indent=2).encode()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step that the arguments describe; return the exit code of the stage's module.

    Without a usable spec there is no attempt and the code is EXIT_USAGE.
    """
    arguments = _parser().parse_args(argv)
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        step = Step(arguments=arguments, settings=Settings.parse(os.environ), store=Store())
        spec = step.spec()
    except WorkloadError as err:
        _log.error("cannot begin %s: %s", arguments.stage, err)
        return EXIT_USAGE
    code = child.run([sys.executable, "-m", arguments.module, spec])
    if code == 0:
        step.hand_on(spec)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m refit_contract.step", description=__doc__, allow_abbrev=False)
    parser.add_argument("--stage", required=True, choices=list(PLAN))
    parser.add_argument("--module", required=True, help="the module that is run on the spec")
    parser.add_argument("--image", default="local", help="what runs the attempt, kept with it")
    run = parser.add_mutually_exclusive_group(required=True)
    run.add_argument("--job", default="", help="the pipeline's own id of the run, which defines a new run")
    run.add_argument("--run", default="", help="the id of a run that another step defined")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of a new run")
    parser.add_argument("--result", action="append", default=[], metavar="URI", help="result.json of a stage before")
    for name in ("run", "result", "artifacts", "f1"):
        parser.add_argument(f"--output-{name}", default="", metavar="PATH", help=f"where {name} is written")
    return parser


def _pinned(artifact: Artifact) -> dict[str, Any]:
    value = {**artifact.json(), "etag": artifact.etag, "version": artifact.version}
    return {k: v for k, v in value.items() if v not in ("", -1)}


def _duration(text: str) -> timedelta:
    parts = re.findall(r"(\d+(?:\.\d+)?)(h|ms|m|s)", text)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or seconds <= 0:
        raise BadInputError(f"setting REFIT_DEADLINE={text!r}: accepted is a duration such as 90m")
    return timedelta(seconds=seconds)


def _write(path: Path, value: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
