"""TF-IDF of at most 500 terms, fitted once and kept as plain JSON.

The weights are those of scikit-learn's TfidfVectorizer with smooth idf and L2 norm; the
terms are its own too, except that a tie at the cut goes to the alphabetically first
term instead of to chance. scikit-learn is not needed, neither to fit nor to serve.
"""

from __future__ import annotations

import json
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
        counts = pl.DataFrame(schema={"term": pl.String, "count": pl.UInt32, "df": pl.UInt32})
        documents = 0
        for batch in batches:
            documents += len(batch)
            per_text = _counts(batch)
            new = per_text.group_by("term").agg(
                pl.col("count").sum().cast(pl.UInt32), pl.len().cast(pl.UInt32).alias("df")
            )
            counts = pl.concat([counts, new]).group_by("term").agg(pl.col("count", "df").sum())
        kept = counts.sort(["count", "term"], descending=[True, False]).head(size).sort("term")
        df = kept["df"].to_numpy().astype(np.float64)
        idf = np.log((1.0 + documents) / (1.0 + df)) + 1.0
        return cls(terms=tuple(kept["term"]), idf=tuple(idf.tolist()), documents=documents)

    def transform(self, texts: pl.Series) -> NDArray[np.float32]:
        """Return the weights of `texts`, shape (n, 500); a text without terms has zeros.

        Each row depends on its own text alone, bit for bit.
        """
        matrix = np.zeros((len(texts), TFIDF_TERMS), dtype=np.float64)
        vocabulary = pl.DataFrame(
            {"term": self.terms, "column": range(len(self.terms))},
            schema={"term": pl.String, "column": pl.UInt32},
        )
        found = _counts(texts).join(vocabulary, on="term", how="inner")
        idf = np.asarray(self.idf, dtype=np.float64)
        rows, columns = found["row"].to_numpy(), found["column"].to_numpy()
        matrix[rows, columns] = found["count"].to_numpy() * idf[columns]
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


def _counts(texts: pl.Series) -> pl.DataFrame:
    """Return row, term, count for each different term of each text."""
    tokens = texts.cast(pl.String).str.to_lowercase().str.extract_all(TERM)
    return (
        pl.DataFrame({"row": pl.arange(0, len(texts), eager=True, dtype=pl.UInt32), "term": tokens})
        .explode("term", empty_as_null=True)
        .drop_nulls("term")
        .group_by("row", "term")
        .agg(pl.len().alias("count"))
    )
