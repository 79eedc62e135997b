"""The test split as it is judged, and what of train is needed beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow.parquet as pq

from refit_contract import FEATURES, InternalError
from refit_mlflow_ops import measures
from refit_mlflow_ops.candidate import predict

if TYPE_CHECKING:
    import xgboost

_BATCH = 16_384  # matrix rows scored at a time: 34 MB of features
_KEYS = ("email_id", "label", "part", "group", "sender_domain")


@dataclass(frozen=True, kw_only=True)
class Split:
    """The test split without its features, one entry per mail, in the order of the matrix.

    `text_hashes` name each mail's content, `groups` are named after one of their mails' content.
    `probabilities` are those of each candidate, by its name.
    """

    email_ids: list[str]
    labels: measures.Labels
    groups: measures.Groups
    text_hashes: measures.Groups
    sender_domains: npt.NDArray[np.object_]
    probabilities: Mapping[str, measures.Probabilities]

    @classmethod
    def read(cls, matrix: Path, *, entities: Path, boosters: Mapping[str, xgboost.Booster]) -> Split:
        """Score the file `matrix` with each booster; memory does not grow with its features.

        Raises InternalError when it is empty, has another part than "test", or an email_id twice.
        """
        keys = pl.read_parquet(matrix, columns=list(_KEYS))
        _check(keys)
        return cls(
            email_ids=keys["email_id"].to_list(),
            labels=keys["label"].to_numpy().astype(np.int8),
            groups=keys["group"].to_numpy(),
            text_hashes=_text_hashes(keys, entities),
            sender_domains=keys["sender_domain"].to_numpy(),
            probabilities=_score(matrix, boosters),
        )

    def rows_of(self, mails: Path) -> npt.NDArray[np.int64]:
        """Return the row of each raw mail of the file `mails`, in the order of that file.

        Raises InternalError for a mail that is not in the split.
        """
        place = {email_id: row for row, email_id in enumerate(self.email_ids)}
        ids = pl.read_parquet(mails, columns=["email_id"])["email_id"].to_list()
        if unknown := [i for i in ids if i not in place]:
            raise InternalError(f"mail {unknown[0]} has raw mail but no row in the test matrix")
        return np.array([place[i] for i in ids], dtype=np.int64)


@dataclass(frozen=True, kw_only=True)
class Train:
    """What train looked like: its sender domains, and the hashes that tell its mails."""

    sender_domains: frozenset[str]
    hashes: frozenset[str]

    @classmethod
    def read(cls, entities: Path) -> Train:
        """Return what the entity table says about every mail that is not in the test split."""
        table = pl.scan_parquet(entities).filter(pl.col("part") != "test")
        known = table.collect_schema().names()
        columns = [c for c in ("group", "text_hash") if c in known]
        train = table.select("sender_domain", *columns).collect()
        return cls(
            # Mails without a sender have no domain in common.
            sender_domains=frozenset(train["sender_domain"].to_list()) - {"", None},
            hashes=frozenset(h for c in columns for h in train[c].to_list()),
        )


def _text_hashes(keys: pl.DataFrame, entities: Path) -> measures.Groups:
    """Return the content hash of each mail of `keys`, or its group where the table has none."""
    table = pl.scan_parquet(entities)
    if "text_hash" not in table.collect_schema().names():
        return keys["group"].to_numpy()
    known = table.select("email_id", "text_hash").collect()
    joined = keys.join(known, on="email_id", how="left", maintain_order="left")
    return joined["text_hash"].fill_null(joined["group"]).to_numpy()


def _check(keys: pl.DataFrame) -> None:
    if keys.is_empty():
        raise InternalError("the test matrix has no rows; nothing can be judged")
    if strangers := sorted(set(keys["part"].to_list()) - {"test"}):
        raise InternalError(f"the test matrix has rows of {', '.join(map(str, strangers))}")
    if keys["email_id"].is_duplicated().any():
        raise InternalError("the test matrix has an email_id more than once")


def _score(matrix: Path, boosters: Mapping[str, xgboost.Booster]) -> dict[str, measures.Probabilities]:
    parts: dict[str, list[measures.Probabilities]] = {name: [] for name in boosters}
    for batch in pq.ParquetFile(matrix).iter_batches(_BATCH, columns=list(FEATURES)):
        frame = pl.DataFrame(pl.from_arrow(batch)).select(FEATURES)
        features = np.ascontiguousarray(frame.to_numpy(), dtype=np.float32)
        for name, booster in boosters.items():
            parts[name].append(predict(booster, features))
    return {name: np.concatenate(found) for name, found in parts.items()}
