from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from preptest.mails import sample
from refit_data_prep.matrix import mails_of, text_of, with_body
from refit_data_prep.tfidf import TERM, Tfidf


@pytest.fixture(scope="module")
def texts() -> pl.Series:
    """Return the texts of 300 real mails."""
    return text_of(with_body(mails_of(sample(300)["raw"].to_list())))


def tokens(text: str) -> list[str]:
    """Return the terms of a text as Tfidf sees them."""
    found = pl.Series([text]).str.to_lowercase().str.extract_all(TERM)[0]
    return list(found)


def test_the_values_are_those_of_scikit_learn(texts: pl.Series) -> None:
    """With the same tokens and vocabulary every value is TfidfVectorizer's, to the last float32 bit or so."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    tfidf = Tfidf.fit([texts[:200]])
    theirs = TfidfVectorizer(analyzer=tokens, vocabulary=list(tfidf.terms)).fit(texts[:200].to_list())

    want = theirs.transform(texts[200:].to_list()).toarray()

    assert np.allclose(tfidf.transform(texts[200:]), want, rtol=1e-6, atol=1e-7)
    assert np.allclose(tfidf.idf, theirs.idf_)


def test_the_terms_are_the_most_frequent_ones(texts: pl.Series) -> None:
    """The 500 terms are those of scikit-learn's max_features, and ties at the cut are alphabetical."""
    counts = Counter(token for text in texts for token in tokens(text))

    want = sorted(sorted(counts, key=lambda term: (-counts[term], term))[:500])

    assert list(Tfidf.fit([texts]).terms) == want


def test_batches_do_not_matter(texts: pl.Series) -> None:
    """Fitting on many small batches is fitting on one; each row is transformed on its own."""
    tfidf = Tfidf.fit([texts])

    assert Tfidf.fit([texts[:10], texts[10:11], texts[11:11], texts[11:]]) == tfidf
    assert (tfidf.transform(texts)[17] == tfidf.transform(texts[17:18])[0]).all()


def test_what_is_saved_is_loaded_and_is_plain_json(texts: pl.Series, tmp_path: Path) -> None:
    """The file is readable JSON without code, the same bytes every time, and gives the same values."""
    tfidf = Tfidf.fit([texts])
    tfidf.save(tmp_path / "a.json")
    Tfidf.fit([texts]).save(tmp_path / "b.json")

    assert Tfidf.load(tmp_path / "a.json") == tfidf
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_another_format_is_refused(tmp_path: Path) -> None:
    """A vocabulary of another version is not half understood."""
    (tmp_path / "a.json").write_text('{"format": 2}')

    with pytest.raises(ValueError, match="format 1"):
        Tfidf.load(tmp_path / "a.json")


def test_a_small_vocabulary_leaves_zeros() -> None:
    """With fewer than 500 terms, and for text without any, the columns are zero."""
    tfidf = Tfidf.fit([pl.Series(["free money", "free lunch"])])

    matrix = tfidf.transform(pl.Series(["free money free", "nothing known", ""]))

    assert tfidf.terms == ("free", "lunch", "money")
    assert matrix.shape == (3, 500)
    assert matrix[0, :3] == pytest.approx(np.array([0.8182, 0.0, 0.5750]), abs=1e-4)
    assert not matrix[1:].any()
