"""Start a run of the compiled pipeline on Kubeflow: `python pipeline/submit.py --set num_hpo_trials=5`.

KFP_HOST is where the Kubeflow Pipelines UI answers, such as http://localhost:8080. KFP_TOKEN is sent
as bearer token where it is set, KFP_EXPERIMENT is the name of the run's experiment, made if need
be, and KFP_NAMESPACE the namespace of that experiment where Kubeflow has several users.
"""

import argparse
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml

_API: Final = "/apis/v2beta1/"
_PATIENCE: Final = 30.0
_EQUALS: Final = 1
_READERS: Final[Mapping[str, Any]] = {"STRING": str, "NUMBER_INTEGER": int, "NUMBER_DOUBLE": float}


class SubmitError(Exception):
    """Why there is no run; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Kubeflow:
    """The Kubeflow Pipelines at `host`, asked with `token`, in `namespace`; empty where not needed."""

    host: str
    token: str = ""
    namespace: str = ""

    @classmethod
    def parse(cls, env: Mapping[str, str]) -> "Kubeflow":
        """Return the one that `env` names.

        Raises SubmitError when KFP_HOST is no URL.
        """
        host = env.get("KFP_HOST", "").rstrip("/")
        parts = urllib.parse.urlsplit(host)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise SubmitError(f"KFP_HOST is {host!r}; accepted is a URL such as http://localhost:8080")
        return cls(host=host, token=env.get("KFP_TOKEN", ""), namespace=env.get("KFP_NAMESPACE", ""))

    def start(self, run: Mapping[str, Any]) -> str:
        """Start `run`, a v2beta1 Run, and return the id that it got."""
        answer = self._ask("POST", "runs", body=run)
        if not answer.get("run_id"):
            raise SubmitError(f"{self.host} answered without a run_id: is it Kubeflow Pipelines 2?")
        return str(answer["run_id"])

    def experiment(self, name: str) -> str:
        """Return the id of the experiment `name`, made if there is none."""
        wanted = {"predicates": [{"operation": _EQUALS, "key": "name", "stringValue": name}]}
        query = {"filter": json.dumps(wanted), "namespace": self.namespace}
        given = urllib.parse.urlencode({key: value for key, value in query.items() if value})
        found = self._ask("GET", f"experiments?{given}").get("experiments", [])
        if found:
            return str(found[0]["experiment_id"])
        wish = {"display_name": name, "namespace": self.namespace}
        made = self._ask("POST", "experiments", body={key: value for key, value in wish.items() if value})
        return str(made["experiment_id"])

    def link(self, run: str) -> str:
        """Return the run's page in the UI."""
        return f"{self.host}/#/runs/details/{run}"

    def _ask(self, method: str, path: str, *, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {self.token}"} if self.token else {}
        )
        payload = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.host + _API + path, data=payload, headers=headers, method=method)  # noqa: S310 - checked by parse
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE) as response:  # noqa: S310
                text = response.read()
        except urllib.error.HTTPError as err:
            raise SubmitError(f"{self.host} refused {method} {path.partition('?')[0]}: {_reason(err)}") from err
        except OSError as err:
            raise SubmitError(
                f"{self.host} does not answer: {err}; see that the port-forward to Kubeflow runs"
            ) from err
        try:
            answer: dict[str, Any] = json.loads(text)
        except ValueError as err:
            raise SubmitError(f"{self.host} answered no JSON, perhaps a login page: set KFP_TOKEN") from err
        return answer


def _reason(err: urllib.error.HTTPError) -> str:
    text = err.read().decode(errors="replace")
    try:
        message = json.loads(text)["message"]
    except (ValueError, KeyError, TypeError):
        message = text[:200]
    hint = "; set KFP_TOKEN to a token that may create runs" if err.code in {401, 403} else ""
    return f"{err.code} {message}{hint}"


def request(pipeline: str, *, settings: Sequence[str], name: str, experiment: str = "") -> dict[str, Any]:
    """Return the Run that starts the compiled `pipeline`, given as YAML, with `settings`, each name=value.

    Raises SubmitError for a setting that the pipeline has no parameter for.
    """
    spec, *platforms = yaml.safe_load_all(pipeline)
    run = {
        "display_name": name,
        "pipeline_spec": {"pipeline_spec": spec, "platform_spec": platforms[0]} if platforms else spec,
        "runtime_config": {"parameters": _parameters(spec, settings)},
    }
    return run | ({"experiment_id": experiment} if experiment else {})


def _parameters(spec: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    known = spec["root"]["inputDefinitions"]["parameters"]
    values = {}
    for setting in settings:
        name, _, text = setting.partition("=")
        if name not in known:
            raise SubmitError(f"--set {setting!r}: accepted are {', '.join(sorted(known))}")
        kind = known[name]["parameterType"]
        try:
            values[name] = _READERS[kind](text)
        except ValueError as err:
            raise SubmitError(f"--set {setting!r}: accepted is a number ({kind})") from err
    return values


def main(argv: Sequence[str] | None = None) -> int:
    """Start the run and print the link to it."""
    arguments = _parser().parse_args(argv)
    try:
        kubeflow = Kubeflow.parse(os.environ)
        experiment = os.environ.get("KFP_EXPERIMENT", "")
        run = request(
            arguments.pipeline.read_text(encoding="utf-8"),
            settings=arguments.set,
            name=arguments.name or f"spam-detection {datetime.now(UTC):%Y-%m-%d %H:%M:%S}",
            experiment=kubeflow.experiment(experiment) if experiment else "",
        )
        started = kubeflow.start(run)
    except SubmitError as err:
        sys.stderr.write(f"submit: {err}\n")
        return 1
    sys.stdout.write(kubeflow.link(started) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Start a run of the compiled pipeline on the Kubeflow at KFP_HOST.")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the run")
    parser.add_argument("--name", default="", help="the run's name in the UI")
    parser.add_argument("--pipeline", type=Path, default=Path(__file__).with_name("spam_detection_pipeline.yaml"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
