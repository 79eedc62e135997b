"""The registered model as MLflow keeps it: files, signature, example, requirements, code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import polars as pl

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

NAME: Final = "spam-detector"
"""The name of the logged model; the registered name is a parameter of the run."""

EXAMPLES: Final = (
    """\
From: Ann <ann@example.org>
To: bob@example.org
Subject: Lunch on Friday?
Date: Mon, 02 Sep 2002 10:15:00 +0200
Content-Type: text/plain; charset=utf-8

Shall we meet at noon? The usual place.
Ann
""",
    """\
From: winner@prizes.example
To: you@example.org
Subject: FREE MONEY!!! Click now
Date: Tue, 03 Sep 2002 03:00:00 +0000
Content-Type: text/html; charset=utf-8

<html><body>CONGRATULATIONS! <a href="http://prizes.example/claim">Click here</a> to claim your
FREE prize. No risk, 100% guaranteed! To unsubscribe reply REMOVE.</body></html>
""",
)
"""Mail that shows what the model takes."""

REQUIREMENTS: Final = (
    "cloudpickle",
    "fast-mail-parser",
    "mlflow",
    "numpy",
    "pandas",
    "polars",
    "pyarrow",
    "scipy",
    "xgboost-cpu",
)
"""What the served model imports; each is pinned to the version that made it."""

_PACKAGES = ("refit_contract", "refit_data_prep", "refit_mlflow_ops")


@dataclass(frozen=True, kw_only=True)
class Logged:
    """A logged model: its id ("m-…") and the URI under which it can be registered and loaded."""

    id: str
    uri: str


def log(
    *,
    files: Mapping[str, Path],
    threshold: float,
    tags: Mapping[str, str],
    params: Mapping[str, Any],
    experiment_id: str,
) -> Logged:
    """Log the model of `files` in the active MLflow run, or return the one this attempt logged.

    `files` are model, tfidf, senders, choice and train_groups. `tags` must tell this attempt and
    these files from all others: a logged model with the same tags is taken as this one.
    Raises MlflowException when MLflow refuses.
    """
    import mlflow.pyfunc

    if found := _find(tags, experiment_id):
        return found
    root = Path(__file__).parent
    info = mlflow.pyfunc.log_model(
        name=NAME,
        python_model=str(root / "serving.py"),
        artifacts={name: str(path) for name, path in files.items()},
        code_paths=[str(path) for path in _code()],
        pip_requirements=requirements(),
        signature=signature(),
        input_example=(pd.DataFrame({"raw": list(EXAMPLES)}), {"encoding": "text", "now": ""}),
        metadata={"threshold": threshold, **tags},
        params={"threshold": threshold, **params},
        tags={**tags, "threshold": f"{threshold:.6f}"},
    )
    return Logged(id=str(info.model_id), uri=f"models:/{info.model_id}")


def write_examples(path: Path) -> Path:
    """Write EXAMPLES as a file of raw mails, for an upload that brought none."""
    raw = [mail.encode() for mail in EXAMPLES]
    ids = [f"example-{i}" for i in range(len(raw))]
    pl.DataFrame({"email_id": ids, "raw": raw}).write_parquet(path)
    return path


def signature() -> ModelSignature:
    """Return the signature: a column `raw` (string or bytes) in, probability and label out."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, DataType, ParamSchema, ParamSpec, Schema

    return ModelSignature(
        # A string column would refuse bytes, a binary one would want base64 for plain text.
        inputs=Schema([ColSpec(AnyType(), "raw")]),  # type: ignore[no-untyped-call]
        outputs=Schema([ColSpec(DataType.double, "probability"), ColSpec(DataType.string, "label")]),
        params=ParamSchema(
            [
                ParamSpec("encoding", DataType.string, "text"),
                ParamSpec("now", DataType.string, ""),
            ]
        ),
    )


def requirements() -> list[str]:
    """Return the pinned requirements of the served model, as installed here."""
    from importlib.metadata import version

    return [f"{name}=={version(name)}" for name in REQUIREMENTS]


def _find(tags: Mapping[str, str], experiment_id: str) -> Logged | None:
    from mlflow.entities import LoggedModelStatus
    from mlflow.tracking import MlflowClient

    wanted = " AND ".join(f"tags.`{key}` = '{value}'" for key, value in sorted(tags.items()))
    found = MlflowClient().search_logged_models(experiment_ids=[experiment_id], filter_string=wanted, max_results=10)
    ready = [m for m in found if m.status == LoggedModelStatus.READY]
    return Logged(id=ready[0].model_id, uri=f"models:/{ready[0].model_id}") if ready else None


def _code() -> list[Path]:
    """Return the folders of the packages that the served model brings along."""
    from importlib.util import find_spec

    folders = []
    for name in _PACKAGES:
        spec = find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            raise ModuleNotFoundError(f"package {name} is not on the path", name=name)
        folders.append(Path(spec.submodule_search_locations[0]))
    return folders
