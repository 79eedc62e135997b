"""The registration behind the gate of a pipeline: `python -m refit_mlflow_ops.register --evaluation URI …`.

It gives the evaluated model its version in MLflow, with the tags and the alias that the register
function gives on the event path, under the same lease. A version that the run has already stays
the only one.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from refit_contract import BadInputError, Spec, Store, WorkloadError, tracking
from refit_contract.lease import held
from refit_contract.run import EXIT_FAILED, EXIT_SUCCEEDED
from refit_mlflow_ops.champion import ALIAS as CHAMPION

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHALLENGER: Final = "challenger"
"""The alias of a version that passed the gate and did not beat the champion."""

_LEASE = timedelta(seconds=40)
_PATIENCE = timedelta(minutes=2)

_log = logging.getLogger("refit")


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """An evaluated model: the spec and the figures of its evaluation, and the upload's digest."""

    spec: Spec
    figures: Mapping[str, Any]
    data_digest: str

    @classmethod
    def read(cls, store: Store, *, evaluation: str, preparation: str) -> Evaluated:
        """Return what the two results at these URIs say.

        Raises BadInputError when the model did not pass the gate.
        """
        figures = json.loads(store.read(evaluation))["figures"]
        spec = Spec.parse(store.read(evaluation.removesuffix("result.json") + "spec.json"))
        if not figures["f1"] >= spec.parameters.f1_threshold:
            raise BadInputError(
                f"F1 {figures['f1']:.4f} is below f1_threshold {spec.parameters.f1_threshold}; it is not registered"
            )
        prepared = json.loads(store.read(preparation))["figures"]
        return cls(spec=spec, figures=figures, data_digest=prepared.get("data_digest", ""))

    def tags(self, *, image: str) -> dict[str, str]:
        """Return the tags of the version; empty ones are left out."""
        tags = {
            "refit.run": self.spec.run,
            "refit.data": self.spec.data.uri,
            "refit.data_digest": self.data_digest,
            "refit.image": image,
            "refit.commit": self.spec.commit,
            "refit.f1": f"{self.figures['f1']:.4f}",
            "refit.winner": self.figures["winner"],
        }
        return {name: value for name, value in tags.items() if value}


@dataclass(frozen=True, kw_only=True)
class Registered:
    """The version that a model got, its alias, and why that one."""

    version: str
    alias: str
    reason: str


def register(client: MlflowClient, model: Evaluated, *, image: str) -> Registered:
    """Give the model its version and alias, or find those that an earlier try gave.

    MLflow does not compare and set: callers hold the model's lease. Raises
    MLflowUnavailableError when MLflow refuses.
    """
    name = model.spec.parameters.model_name
    with tracking.translated(f"register {name}"):
        before = _champion(client, name)
        version = _find(client, name, model.spec.run) or _create(client, name, model, image)
        alias, reason = choose(before=before, version=version, verdict=model.figures["champion"])
        client.set_registered_model_alias(name, alias, version)
    return Registered(version=version, alias=alias, reason=reason)


def choose(*, before: str, version: str, verdict: Mapping[str, Any]) -> tuple[str, str]:
    """Return the alias of `version` and the reason, `before` being the champion now ("" for none)."""
    if not before:
        return CHAMPION, "there was no champion"
    if before == version:
        return CHAMPION, "this version is the champion"
    if before != verdict["version"]:
        return CHALLENGER, f"the champion changed to version {before} since the comparison"
    return (CHAMPION if verdict["better"] else CHALLENGER), str(verdict["reason"])


def _champion(client: MlflowClient, name: str) -> str:
    from mlflow.exceptions import MlflowException

    try:
        return str(client.get_model_version_by_alias(name, CHAMPION).version)
    except MlflowException as err:
        if err.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return ""
        raise


def _find(client: MlflowClient, name: str, run: str) -> str:
    found = client.search_model_versions(f"name = '{name}' and tags.`refit.run` = '{run}'")
    return str(found[0].version) if found else ""


def _create(client: MlflowClient, name: str, model: Evaluated, image: str) -> str:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as err:
        if err.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    made = client.create_model_version(
        name=name,
        source=model.figures["model_uri"],
        run_id=model.figures["mlflow_run_id"],
        model_id=model.figures["mlflow_model_id"],
        tags=model.tags(image=image),
    )
    return str(made.version)


def main(argv: Sequence[str] | None = None) -> int:
    """Register the model that the arguments name; return the exit code."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s %(message)s")
    store = Store()
    try:
        model = Evaluated.read(store, evaluation=arguments.evaluation, preparation=arguments.preparation)
        client = tracking.connect(model.spec)
        with held(
            store,
            _lease(model.spec),
            holder=f"{model.spec.run}/{model.spec.attempt}",
            lasts=_LEASE,
            patience=_PATIENCE,
        ):
            made = register(client, model, image=arguments.image)
    except WorkloadError as err:
        _log.error("not registered: %s", err)
        return EXIT_FAILED
    name = model.spec.parameters.model_name
    _log.info("%s version %s is registered as %s: %s", name, made.version, made.alias, made.reason)
    for field in ("version", "alias", "reason"):
        if path := getattr(arguments, f"output_{field}"):
            _write(Path(path), getattr(made, field))
    return EXIT_SUCCEEDED


def _lease(spec: Spec) -> str:
    """Return where the register function keeps the lease on the model, in the same bucket."""
    return f"s3://{os.environ.get('REFIT_BUCKET') or 'refit'}/locks/model/{spec.parameters.model_name}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m refit_mlflow_ops.register", allow_abbrev=False)
    parser.add_argument("--evaluation", required=True, metavar="URI", help="result.json of the evaluation")
    parser.add_argument("--preparation", required=True, metavar="URI", help="result.json of prepare")
    parser.add_argument("--image", default="local", help="what evaluated the model")
    for name in ("version", "alias", "reason"):
        parser.add_argument(f"--output-{name}", default="", metavar="PATH", help=f"where the {name} is written")
    return parser


def _write(path: Path, value: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
