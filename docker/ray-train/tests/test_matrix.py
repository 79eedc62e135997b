from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from refit_contract import FEATURES, BadInputError
from refit_ray_train import matrix
from refit_ray_train.matrix import Matrix
from traintest import matrices


def _with(column: str, values: object) -> pa.Table:
    table = matrices.table(rows=50)
    place = table.schema.get_field_index(column)
    return table.set_column(place, column, pa.array(values))


def test_arrays_follow_the_order_of_the_contract(data: Matrix) -> None:
    """Column i of the features is FEATURES[i], and rows stay in the order of the file."""
    table = matrices.table()
    assert data.features.shape == (600, 524)
    assert data.features.dtype == data.labels.dtype == np.float32
    for place in (0, 23, 24, 523):
        assert np.array_equal(data.features[:, place], table[FEATURES[place]].to_numpy())
    assert np.array_equal(data.labels, table["label"].to_numpy())


def test_validation_is_what_is_not_fitted(data: Matrix) -> None:
    """Each row belongs to exactly one of the two parts."""
    assert data.rows == 600
    assert int(data.fit.sum()) == 480
    assert len(data.validation_labels) == 120


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("label", [2, 0] * 25, "neither 0 .* nor 1"),
        ("label", [1] * 50, "part 'fit' of train has 40 mails and not both labels"),
        ("part", ["fit"] * 50, "part 'validation' of train has 0 mails"),
        ("part", ["fit", "test"] * 25, "the parts test; accepted are fit, validation"),
        ("tfidf_7", np.full(50, np.inf, dtype=np.float32), "tfidf_7 .* infinite"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(tmp_path: Path, column: str, values: object, message: str) -> None:
    """A bad value is a BadInputError that names it, rather than a model of nonsense."""
    path = tmp_path / "bad.parquet"
    matrices.write(path, _with(column, values))
    with pytest.raises(BadInputError, match=message):
        matrix.load(path)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    """A matrix of another version is refused with the name of what it lacks."""
    path = tmp_path / "old.parquet"
    matrices.write(path, matrices.table(rows=50).drop_columns(["tfidf_499"]))
    with pytest.raises(BadInputError, match="lacks 1 columns, tfidf_499"):
        matrix.load(path)
