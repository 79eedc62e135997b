"""The training matrix as arrays: what is fitted, and what choices are judged on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from refit_contract import FEATURES, BadInputError

if TYPE_CHECKING:
    import pyarrow as pa

PARTS = ("fit", "validation")
"""The values of the column `part` in a training matrix."""


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """All of train, one row for each of n mails, sorted by (event_timestamp, email_id).

    `features` is float32 (n, 524) in the order of FEATURES, `labels` float32 (n,) of 0 (ham) and
    1 (spam), and `fit` bool (n,): true where a row may be fitted while choosing; the other rows
    are the validation part.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.float32]
    fit: NDArray[np.bool_]

    @property
    def rows(self) -> int:
        """The number of mails, n."""
        return len(self.labels)

    @property
    def validation_labels(self) -> NDArray[np.float32]:
        """The labels of the validation part, float32 (v,), in row order."""
        return self.labels[~self.fit]


def load(path: Path) -> Matrix:
    """Return the training matrix in the parquet file `path`.

    Whoever downloaded the file has checked its digest. Raises BadInputError when a column is
    missing, a value cannot be trained on, or a part does not hold both spam and ham.
    """
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    missing = sorted({"label", "part", *FEATURES} - set(file.schema_arrow.names))
    if missing:
        raise BadInputError(
            f"the training matrix lacks {len(missing)} columns, {', '.join(missing[:5])} first; "
            "run the features stage of this version again"
        )
    table = file.read(columns=["label", "part", *FEATURES])
    matrix = Matrix(
        features=_features(table),
        labels=_column(table, "label").astype(np.float32),
        fit=_column(table, "part") == "fit",
    )
    _check(matrix, parts=_column(table, "part"))
    return matrix


def _features(table: pa.Table) -> NDArray[np.float32]:
    values = np.empty((table.num_rows, len(FEATURES)), dtype=np.float32)
    for place, name in enumerate(FEATURES):
        values[:, place] = _column(table, name)
    return values


def _column(table: pa.Table, name: str) -> NDArray[np.generic]:
    column: NDArray[np.generic] = table.column(name).to_numpy(zero_copy_only=False)
    return column


def _check(matrix: Matrix, *, parts: NDArray[np.generic]) -> None:
    if strange := sorted({str(part) for part in np.unique(parts.astype(str))} - set(PARTS)):
        raise BadInputError(f"train has the parts {', '.join(strange)}; accepted are fit, validation")
    if not np.isin(matrix.labels, (0, 1)).all():
        raise BadInputError("a label of train is neither 0 (ham) nor 1 (spam)")
    if np.isinf(matrix.features).any():
        name = FEATURES[int(np.isinf(matrix.features).any(axis=0).argmax())]
        raise BadInputError(f"the feature {name} of train has an infinite value")
    for part, chosen in zip(PARTS, (matrix.fit, ~matrix.fit), strict=True):
        if len(np.unique(matrix.labels[chosen])) < 2:
            raise BadInputError(
                f"the part {part!r} of train has {int(chosen.sum())} mails and not both labels; "
                "upload more mail, or another test_split_ratio"
            )
