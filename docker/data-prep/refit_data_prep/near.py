"""Near-identical mail, found by MinHash and grouped.

Two mails are near when about 60 % of their three-word runs are the same. Signatures lie in a
file, so that memory does not grow with the upload; every step is linear in the mails.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from refit_data_prep.normalise import words

SIGNATURE: Final = 64
"""Values of a signature, four bytes each."""

THRESHOLD: Final = 0.55
"""Mails whose signatures agree in this share of values are near."""

_BANDS: Final = 16
_RUN: Final = 3
_CHUNK: Final = 4096
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)

# Fixed odd multipliers: groups must not depend on the run's seed.
_RANDOM: Final = np.random.default_rng(20021202)
_A: Final = _RANDOM.integers(0, 2**64, SIGNATURE, dtype=np.uint64) | np.uint64(1)
_B: Final = _RANDOM.integers(0, 2**64, SIGNATURE, dtype=np.uint64)


def signature(text: str) -> NDArray[np.uint32]:
    """Return the MinHash signature of a canonical text, shape (SIGNATURE,)."""
    hashes = np.fromiter((zlib.crc32(w.encode()) for w in words(text)), dtype=np.uint64)
    if len(hashes) == 0:
        # Nothing but punctuation: such mails are near only when they are equal.
        hashes = np.array([zlib.crc32(text.encode("utf-8", "replace"))], dtype=np.uint64)
    runs = np.unique(_runs(hashes))
    best = np.full(SIGNATURE, np.iinfo(np.uint32).max, dtype=np.uint32)
    for at in range(0, len(runs), _CHUNK):
        mixed = runs[at : at + _CHUNK, None] * _A + _B
        best = np.minimum(best, (mixed >> np.uint64(32)).astype(np.uint32).min(axis=0))
    return best


class Signatures:
    """The signatures of all rows of an upload, in a scratch file, to be closed."""

    def __init__(self, path: Path) -> None:
        """Start empty, writing to `path`."""
        self._path = path
        self._out: BinaryIO = path.open("wb")

    def close(self) -> None:
        """Close the file."""
        self._out.close()

    def append(self, found: bytes) -> None:
        """Add the next row's `signature`, as bytes."""
        self._out.write(found)

    def groups(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return for each of `rows` the position in `rows` of its group's first member.

        A group is what hangs together by near pairs. Candidates are mails that agree in a
        whole band; each is compared with the band's first mail and with the one before.
        """
        self._out.flush()
        parent = np.arange(len(rows), dtype=np.int64)
        if len(rows) == 0:
            return parent
        stored = np.memmap(self._path, dtype=np.uint32, mode="r").reshape(-1, SIGNATURE)
        width = SIGNATURE // _BANDS
        for band in range(_BANDS):
            part = np.asarray(stored[:, band * width : (band + 1) * width])[rows]
            for left, right in _near(stored, rows, _candidates(part)):
                _join(parent, left, right)
        return np.array([_root(parent, i) for i in range(len(rows))], dtype=np.int64)


def _runs(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    run = min(_RUN, len(hashes))
    last = len(hashes) - run + 1
    mixed = np.zeros(last, dtype=np.uint64)
    for i in range(run):
        mixed = (mixed * _GOLDEN) ^ hashes[i : i + last]
        mixed ^= mixed >> np.uint64(29)
    mixed *= _GOLDEN
    return np.asarray(mixed ^ (mixed >> np.uint64(32)), dtype=np.uint64)


def _candidates(part: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return pairs of positions with the same band, shape (k, 2), each linear in the rows."""
    key = np.zeros(len(part), dtype=np.uint64)
    for column in part.T:
        key = (key ^ column) * _GOLDEN
        key ^= key >> np.uint64(31)
    order = np.argsort(key, kind="stable").astype(np.int64)
    ordered = key[order]
    fresh = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    first = order[np.maximum.accumulate(np.where(fresh, np.arange(len(key)), 0))]
    old = np.flatnonzero(~fresh)
    pairs = np.concatenate([np.stack([order[old - 1], order[old]], axis=1), np.stack([first[old], order[old]], axis=1)])
    return np.unique(pairs, axis=0)


def _near(stored: NDArray[np.uint32], rows: NDArray[np.int64], pairs: NDArray[np.int64]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for at in range(0, len(pairs), _CHUNK):
        some = pairs[at : at + _CHUNK]
        same = (stored[rows[some[:, 0]]] == stored[rows[some[:, 1]]]).mean(axis=1)
        found += [(int(a), int(b)) for a, b in some[same >= THRESHOLD]]
    return found


def _root(parent: NDArray[np.int64], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = int(parent[i])
    return i


def _join(parent: NDArray[np.int64], left: int, right: int) -> None:
    a, b = _root(parent, left), _root(parent, right)
    parent[max(a, b)] = min(a, b)
