from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np

from refit_data_prep.rows import Rows


def test_rows_come_back_in_the_order_of_their_places(tmp_path: Path) -> None:
    """Written in pieces and any order, read in pieces from any place; a place below 0 is nowhere."""
    seed = 7
    values = np.random.default_rng(seed).random((100, 5), dtype=np.float32)
    order = np.random.default_rng(seed).permutation(100)
    with closing(Rows(tmp_path / "rows", count=100, width=5)) as rows:
        rows.write(order[:60], values[order[:60]])
        rows.write(np.append(order[60:], -1), np.append(values[order[60:]], [[9] * 5], axis=0))
        assert rows.filled.all()
        assert np.array_equal(np.concatenate([rows.read(0, 70), rows.read(70, 30)]), values), f"seed {seed}"


def test_a_row_never_written_is_known(tmp_path: Path) -> None:
    """It reads as zeros, at the end of the file too, and `filled` says so."""
    with closing(Rows(tmp_path / "rows", count=4, width=2)) as rows:
        rows.write(np.array([1]), np.array([[1, 2]], dtype=np.float32))
        assert rows.filled.tolist() == [False, True, False, False]
        assert rows.read(0, 4).tolist() == [[0, 0], [1, 2], [0, 0], [0, 0]]
