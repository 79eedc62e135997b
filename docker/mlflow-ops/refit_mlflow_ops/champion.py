"""Whether the candidate beats the champion, on mail that neither of them was trained on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from refit_contract import MLflowUnavailableError
from refit_mlflow_ops import measures, rehearsal
from refit_mlflow_ops.split import Split

ALIAS: Final = "champion"
"""The alias of the registered version that is in use."""

MIN_ROWS: Final = 100
"""Fewer comparable mails than this decide nothing."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The comparison with the champion; `version` is empty when there is none.

    `better` is True only when the lower end of the 95 % interval of F1(candidate) - F1(champion)
    lies above 0 on enough comparable mails. `reason` says why, in words for users.
    """

    version: str
    reason: str
    better: bool = False
    rows: int = 0
    delta: float = 0.0
    delta_low: float = 0.0
    delta_high: float = 0.0

    def figures(self) -> dict[str, Any]:
        """Return the figures of the contract."""
        return {
            "version": self.version,
            "rows": self.rows,
            "delta": self.delta,
            "delta_low": self.delta_low,
            "delta_high": self.delta_high,
            "better": self.better,
            "reason": self.reason,
        }


@dataclass(frozen=True, kw_only=True)
class Champion:
    """A champion brought to this machine: its version, folder, and the hashes it was trained on."""

    version: str
    folder: Path
    trained_on: frozenset[str]


class UnusableError(Exception):
    """The champion cannot be compared with; the message says why."""


def compare(
    *,
    model_name: str,
    split: Split,
    candidate: npt.NDArray[np.bool_],
    mails: Path | None,
    now: datetime,
    seed: int,
    scratch: Path,
    seconds: float,
) -> Verdict:
    """Compare the candidate with the champion of `model_name`, which has at most `seconds`.

    `candidate` are its calls on `split`; `mails` is the file of the split's raw mails, the only
    thing that a model of another version can be asked about; `now` is when they landed. A champion
    that cannot be compared with is never beaten. Raises MLflowUnavailableError when MLflow does not say who it is.
    """
    version = find(model_name)
    if not version:
        return Verdict(version="", reason=f"{model_name} has no champion yet")
    if mails is None:
        return Verdict(
            version=version,
            reason=f"the upload has no raw mail to score champion version {version} on",
        )
    rows = split.rows_of(mails)
    try:
        current = fetch(model_name=model_name, version=version, folder=scratch / "champion")
        rows_kept = comparable(split, trained_on=current.trained_on)[rows]
        kept = rows[rows_kept]
        if not enough(split.labels[kept]):
            return too_few(version=version, rows=len(kept))
        with rehearsal.scoring(name="champion", scratch=scratch) as scoring:
            scoring.begin(model=str(current.folder), mails=mails, now=now)
            scores = scoring.result(seconds=seconds)
    except (UnusableError, rehearsal.ScoringError) as err:
        return Verdict(version=version, reason=f"champion version {version} is not comparable: {err}")
    return decide(
        version=version,
        labels=split.labels[kept],
        candidate=candidate[kept],
        champion=scores.calls[rows_kept],
        groups=split.groups[kept],
        seed=seed,
    )


def find(model_name: str) -> str:
    """Return the version that has the champion's alias, or "" when there is none.

    Raises MLflowUnavailableError when MLflow does not say: not knowing the champion is not the
    same as having none.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    try:
        aliases = MlflowClient().get_registered_model(model_name).aliases
    except MlflowException as err:
        if err.error_code == "RESOURCE_DOES_NOT_EXIST":
            return ""
        raise MLflowUnavailableError(f"cannot ask MLflow for the champion of {model_name}: {err}") from err
    return str(aliases.get(ALIAS, ""))


def fetch(*, model_name: str, version: str, folder: Path) -> Champion:
    """Download the champion into `folder`.

    Raises UnusableError when it cannot be fetched or does not say what it was trained on.
    """
    import mlflow.artifacts
    from mlflow.exceptions import MlflowException

    try:
        local = Path(
            mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{model_name}/{version}", dst_path=str(folder))
        )
    except (MlflowException, OSError) as err:
        raise UnusableError(f"it cannot be fetched from MLflow: {err}") from err
    hashes = local / "artifacts" / "train_groups.parquet"
    if not hashes.is_file():
        raise UnusableError("it does not say which mails it was trained on (artifacts/train_groups.parquet)")
    return Champion(version=version, folder=local, trained_on=read_groups(hashes))


def write_groups(groups: Collection[str], path: Path) -> Path:
    """Write the distinct `groups` that a model was trained on, sorted, to `path`."""
    pl.DataFrame({"hash": sorted(set(groups))}, schema={"hash": pl.String}).write_parquet(path)
    return path


def read_groups(path: Path) -> frozenset[str]:
    """Return the hashes that `write_groups` wrote to `path`."""
    return frozenset(pl.read_parquet(path)["hash"].to_list())


def comparable(split: Split, *, trained_on: Collection[str]) -> npt.NDArray[np.bool_]:
    """Return for each test mail whether the champion saw neither it nor a near copy of it.

    A group is named after its oldest mail, so another version of the data may name it otherwise:
    one known mail makes its whole group known.
    """
    known = {
        group
        for group, text in zip(split.groups, split.text_hashes, strict=True)
        if group in trained_on or text in trained_on
    }
    return np.array([group not in known for group in split.groups], dtype=bool)


def enough(labels: measures.Labels) -> bool:
    """Return whether mails with `labels` are enough, and of both kinds, to compare on."""
    return len(labels) >= MIN_ROWS and bool(labels.min() != labels.max())


def decide(
    *,
    version: str,
    labels: measures.Labels,
    candidate: npt.NDArray[np.bool_],
    champion: npt.NDArray[np.bool_],
    groups: measures.Groups,
    seed: int,
) -> Verdict:
    """Return the verdict over comparable mails, all of shape (n,); True in a call means spam."""
    rows = len(labels)
    if not enough(labels):
        return too_few(version=version, rows=rows)
    delta = measures.f1_difference(labels=labels, candidate=candidate, champion=champion, groups=groups, seed=seed)
    better = delta.low > 0
    return Verdict(
        version=version,
        better=better,
        rows=rows,
        delta=delta.value,
        delta_low=delta.low,
        delta_high=delta.high,
        reason=(
            f"F1 {'beats' if better else 'does not surely beat'} champion version {version}: "
            f"difference {delta.value:+.4f}, 95 % interval {delta.low:+.4f} to {delta.high:+.4f} "
            f"on {rows} mails that neither was trained on"
        ),
    )


def too_few(*, version: str, rows: int) -> Verdict:
    """Return the verdict when there is not enough mail to compare on."""
    return Verdict(
        version=version,
        rows=rows,
        reason=(
            f"too few test mails that champion version {version} was not trained on: {rows}; "
            f"at least {MIN_ROWS} with both spam and ham are needed"
        ),
    )
