"""Rows of numbers on disk, written in any order and read in theirs.

Mail is read in the upload's order and joined in the order of its time: what lies between is a
file with one place for each row, so that neither order needs all rows in memory.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class Rows:
    """A file of `count` rows of `width` float32 values, to be closed.

    `filled` tells which rows were written, bool (count,).
    """

    def __init__(self, path: Path, *, count: int, width: int) -> None:
        """Create the file at `path` with no row written."""
        self.filled = np.zeros(count, dtype=bool)
        self._width = width
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def write(self, places: NDArray[np.int64], values: NDArray[np.float32]) -> None:
        """Write each row of `values`, float32 (n, width), to its place; a place below 0 is nowhere."""
        content = np.ascontiguousarray(values, dtype=np.float32)
        size = 4 * self._width
        for place, row in zip(places.tolist(), content, strict=True):
            if place >= 0:
                os.pwrite(self._file, row.data, place * size)
        self.filled[places[places >= 0]] = True

    def read(self, at: int, count: int) -> NDArray[np.float32]:
        """Return `count` rows from the row `at` on, float32 (count, width); rows never written are zeros."""
        size = 4 * self._width
        content = os.pread(self._file, count * size, at * size).ljust(count * size, b"\0")
        return np.frombuffer(content, dtype=np.float32).reshape(count, self._width)
