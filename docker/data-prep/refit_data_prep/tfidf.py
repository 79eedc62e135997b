"""TF-IDF of at most 500 terms, fitted once and kept as plain JSON.

The weights are those of scikit-learn's TfidfVectorizer with smooth idf and L2 norm; the
terms are its own too, except that a tie at the cut goes to the alphabetically first
term instead of to chance. scikit-learn is not needed, neither to fit nor to serve.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from refit_contract.columns import TFIDF_TERMS

TERM: Final = r"\w\w+"
"""A term: two or more word characters of the lower-case text (Rust regex, Unicode)."""

_FORMAT: Final = 1
_ROW: Final = 2**32


@dataclass(frozen=True, kw_only=True)
class Tfidf:
    """A fitted vocabulary: `terms` in alphabetical order and the `idf` weight of each.

    Column i of a transformed matrix belongs to `terms[i]`; columns past the vocabulary
    are zero.
    """

    terms: tuple[str, ...]
    idf: tuple[float, ...]
    documents: int

    @classmethod
    def fit(cls, batches: Iterable[pl.Series], *, size: int = TFIDF_TERMS) -> Tfidf:
        """Return the `size` most frequent terms of all texts in `batches`.

        A text counts as often as it occurs; memory grows with the number of different
        terms, not with the texts.
        """
        seen, documents = _Seen(), 0
        for batch in batches:
            documents += len(batch)
            seen.add(batch)
        kept = seen.table().sort(["count", "term"], descending=[True, False]).head(size).sort("term")
        df = kept["df"].to_numpy().astype(np.float64)
        idf = np.log((1.0 + documents) / (1.0 + df)) + 1.0
        return cls(terms=tuple(kept["term"]), idf=tuple(idf.tolist()), documents=documents)

    def transform(self, texts: pl.Series) -> NDArray[np.float32]:
        """Return the weights of `texts`, shape (n, 500); a text without terms has zeros.

        Each row depends on its own text alone, bit for bit.
        """
        rows, terms = _tokens(texts)
        # Whatever is no term of the vocabulary becomes null.
        columns = terms.cast(pl.Enum(self.terms), strict=False).to_physical()
        known = columns.is_not_null()
        places = rows.filter(known).cast(pl.Int64) * TFIDF_TERMS + columns.filter(known).cast(pl.Int64)
        shape = (len(texts), TFIDF_TERMS)
        counts = np.bincount(places.to_numpy(), minlength=math.prod(shape)).reshape(shape)
        weights = np.zeros(TFIDF_TERMS)
        weights[: len(self.idf)] = self.idf
        matrix = counts * weights
        norms = np.sqrt((matrix * matrix).sum(axis=1))
        matrix /= np.where(norms > 0, norms, 1.0)[:, None]
        return matrix.astype(np.float32)

    def save(self, path: Path) -> None:
        """Write the vocabulary as JSON; equal vocabularies give equal bytes."""
        value = {
            "format": _FORMAT,
            "token": TERM,
            "documents": self.documents,
            "terms": list(self.terms),
            "idf": list(self.idf),
        }
        path.write_text(json.dumps(value, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Tfidf:
        """Return the vocabulary that `save` wrote.

        Raises ValueError when the file is of another format.
        """
        value = json.loads(path.read_text(encoding="utf-8"))
        if value.get("format") != _FORMAT or value.get("token") != TERM:
            raise ValueError(f"{path} is no TF-IDF vocabulary of format {_FORMAT}")
        return cls(
            terms=tuple(value["terms"]),
            idf=tuple(value["idf"]),
            documents=value["documents"],
        )


class _Seen:
    """How often each term was seen, and in how many texts."""

    def __init__(self) -> None:
        # Codes of their own: those that polars keeps by default would stay in the process.
        self._codes = pl.Categories.random()
        # The codes are forgotten with the last series that has them.
        self._kept = pl.Series(dtype=pl.Categorical(self._codes))
        self._count = np.zeros(0, dtype=np.int64)
        self._df = np.zeros(0, dtype=np.int64)

    def add(self, texts: pl.Series) -> None:
        """Count the terms of `texts`."""
        rows, terms = _tokens(texts)
        coded = terms.cast(pl.Categorical(self._codes))
        self._kept = coded[:0]
        codes = coded.to_physical().cast(pl.Int64)
        pairs = (rows.cast(pl.Int64) * _ROW + codes).unique()
        self._count = _added(self._count, codes)
        self._df = _added(self._df, pairs % _ROW)

    def table(self) -> pl.DataFrame:
        """Return term, count and df of each term."""
        return pl.DataFrame({"term": self._codes.to_series(), "count": self._count, "df": self._df})


def _added(counts: NDArray[np.int64], codes: pl.Series) -> NDArray[np.int64]:
    found = np.bincount(codes.to_numpy(), minlength=len(counts))
    found[: len(counts)] += counts
    return found


def _tokens(texts: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return the terms of all texts one after the other, each with the number of its text."""
    terms = texts.cast(pl.String).str.to_lowercase().str.extract_all(TERM)
    table = pl.DataFrame({"row": pl.arange(0, len(texts), eager=True, dtype=pl.UInt32), "term": terms})
    table = table.explode("term", empty_as_null=True).drop_nulls("term")
    return table["row"], table["term"]
