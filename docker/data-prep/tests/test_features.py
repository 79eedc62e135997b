from __future__ import annotations

import math
import os
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from preptest.stages import Attempt, run_stage
from refit_contract.columns import FEATURES, KEYS, VIEWS
from refit_data_prep.features import features
from refit_data_prep.matrix import text_of, with_body
from refit_data_prep.repository import Repository, hour_of, sender_rows
from refit_data_prep.sender import History

INPUTS = ("train", "test", "entities")


def featured_from(folder: Path, out: Path) -> Attempt:
    """Run features on the files of a folder."""
    return run_stage("features", features, out, {name: folder / f"{name}.parquet" for name in INPUTS})


def test_the_matrices_have_the_columns_of_the_contract(prepared: Attempt, featured: Attempt) -> None:
    """Keys, then 524 float32 columns in their order, rows by time and id, one for each mail."""
    figures = featured.result["figures"]
    for name in ("train", "test"):
        matrix = featured.table(f"{name}_matrix")
        assert matrix.columns == [*KEYS, *FEATURES]
        assert set(matrix.select(FEATURES).dtypes) == {pl.Float32}
        assert matrix.equals(matrix.sort("event_timestamp", "email_id"))
        assert figures[f"{name}_rows"] == len(matrix) == len(prepared.table(name))
        want = prepared.table(name).select(KEYS).sort("event_timestamp", "email_id")
        assert matrix.select(KEYS).equals(want)
    assert set(featured.result["artifacts"]) == {"train_matrix", "test_matrix", "tfidf", "senders", "registry"}


def test_every_value_is_that_of_an_independent_join(prepared: Attempt, featured: Attempt) -> None:
    """All 524 columns of both matrices equal values computed without Feast and without our feature code."""
    train = prepared.table("train")
    fit = train.filter(pl.col("part") == "fit")
    terms, idf = independent_vocabulary(fit)
    for name in ("train", "test"):
        mails = prepared.table(name).sort("event_timestamp", "email_id")
        matrix = featured.table(f"{name}_matrix")
        columns = {**independent_senders(fit, mails), **independent_terms(terms, idf, mails)}
        columns |= independent_texts(mails)
        assert set(columns) == set(FEATURES)
        for column in FEATURES:
            want = np.asarray(columns[column], dtype=np.float64)
            assert np.allclose(matrix[column].to_numpy(), want, rtol=2e-6, atol=1e-7), column


def independent_senders(fit: pl.DataFrame, mails: pl.DataFrame) -> dict[str, list[float]]:
    """Count, for each mail, the earlier fit mails of its domain, one by one."""
    rows = list(zip(fit["sender_domain"], fit["event_timestamp"], fit["label"], strict=True))
    found: dict[str, list[float]] = {name: [] for name in VIEWS["sender_domain_features"]}
    for domain, time in zip(mails["sender_domain"], mails["event_timestamp"], strict=True):
        labels = [lab for dom, when, lab in rows if dom == domain != "" and when < time]
        spam = sum(labels)
        values = (len(labels), spam, len(labels) - spam, spam / len(labels) if labels else 0.0)
        for name, value in zip(found, values, strict=True):
            found[name].append(value)
    return found


def tokens(text: str) -> list[str]:
    """Split as the vocabulary does."""
    return list(pl.Series([text]).str.to_lowercase().str.extract_all(r"\w\w+")[0])


def independent_vocabulary(fit: pl.DataFrame) -> tuple[list[str], list[float]]:
    """Fit scikit-learn's vectorizer on the fit mails, ties resolved by name."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = text_of(with_body(fit)).to_list()
    full = TfidfVectorizer(analyzer=tokens, use_idf=False, norm=None).fit(texts)
    counts = np.asarray(full.transform(texts).sum(axis=0))[0]
    names = full.get_feature_names_out()
    terms = sorted(names[i] for i in sorted(range(len(names)), key=lambda i: (-counts[i], names[i]))[:500])
    chosen = TfidfVectorizer(analyzer=tokens, vocabulary=terms).fit(texts)
    return terms, list(chosen.idf_)


def independent_terms(terms: list[str], idf: list[float], mails: pl.DataFrame) -> dict[str, list[float]]:
    """Weigh each term of each mail in plain Python."""
    found: dict[str, list[float]] = {f"tfidf_{i}": [] for i in range(500)}
    for text in text_of(with_body(mails)):
        words = tokens(text)
        counts = dict.fromkeys(words, 0)
        for word in words:
            counts[word] += 1
        weights = [counts.get(term, 0) * weight for term, weight in zip(terms, idf, strict=True)]
        norm = math.sqrt(sum(w * w for w in weights)) or 1.0
        for i, weight in enumerate(weights):
            found[f"tfidf_{i}"].append(weight / norm)
    return found


def word_character(character: str) -> bool:
    """Tell a word character by Unicode's rule; Python also counts fractions such as one half."""
    kind = unicodedata.category(character)
    return kind[0] in "LM" or kind in {"Nd", "Nl", "Pc"}


def independent_texts(mails: pl.DataFrame) -> dict[str, list[float]]:
    """Compute the other 20 features of each mail in plain Python."""
    import re

    from refit_data_prep.engineered import SPAM_KEYWORDS

    phrases = re.compile("|".join(re.escape(k) for k in sorted(SPAM_KEYWORDS, key=lambda k: (-len(k), k))))
    rows = []
    for mail in with_body(mails).iter_rows(named=True):
        body, subject, page = mail["body"], mail["subject"], mail["body_html"]
        both, time = f"{subject}\n{body}", mail["event_timestamp"]
        source = mail["body_text"] if mail["body_text"].strip() else page
        letters = [c for c in body if c.isalpha()]
        rows.append(
            {
                "url_count": len(re.findall(r"(?i)https?://|\bwww\.", source)),
                "uppercase_ratio": sum(c.isupper() for c in letters) / max(len(letters), 1),
                "exclamation_count": both.count("!"),
                "question_mark_count": both.count("?"),
                "word_count": sum(is_word for is_word, _ in groupby(body, key=word_character)),
                "char_count": len(body),
                "spam_keyword_count": len(phrases.findall(both.lower())),
                "has_unsubscribe": "unsubscribe" in (mail["body_text"] + page).lower(),
                "has_html": bool(page.strip()),
                "html_to_text_ratio": len(page) / max(len(body), 1) if page.strip() else 0.0,
                "subject_length": len(subject),
                "subject_has_re": bool(re.search(r"(?i)\bre:", subject)),
                "subject_has_fwd": bool(re.search(r"(?i)\bfwd?:", subject)),
                "has_x_mailer": bool(mail["x_mailer"].strip()),
                "sender_domain_length": len(mail["sender_domain"]),
                "received_hop_count": mail["received_hop_count"],
                "hour_of_day": time.hour,
                "day_of_week": time.weekday(),
                "is_weekend": time.weekday() >= 5,
                "is_night_hour": time.hour < 6 or time.hour >= 22,
            }
        )
    return {name: [float(row[name]) for row in rows] for name in rows[0]}


def test_test_mail_changes_nothing_that_is_fitted(prepared: Attempt, featured: Attempt, tmp_path: Path) -> None:
    """With other words, senders and labels in the test rows every fitted artifact stays bit for bit."""
    for name in INPUTS:
        changed = prepared.table(name)
        test = pl.col("part") == "test"
        swap = {"label": 1 - pl.col("label"), "sender_domain": pl.lit("other.org"), "body_text": pl.lit("other words")}
        changes = [pl.when(test).then(e).otherwise(pl.col(c)).alias(c) for c, e in swap.items() if c in changed.columns]
        changed.with_columns(changes).cast({"label": pl.Int8}).write_parquet(tmp_path / f"{name}.parquet")

    other = featured_from(tmp_path, tmp_path / "out")

    for name in ("tfidf", "senders", "train_matrix"):
        assert other.result["artifacts"][name]["digest"] == featured.result["artifacts"][name]["digest"]
    assert other.result["artifacts"]["test_matrix"]["digest"] != featured.result["artifacts"]["test_matrix"]["digest"]


def test_validation_mail_changes_nothing_that_is_fitted(prepared: Attempt, featured: Attempt, tmp_path: Path) -> None:
    """The vocabulary and the senders' history know the part "fit" alone: other validation labels leave them."""
    for name in INPUTS:
        held = pl.col("part") == "validation"
        label = pl.when(held).then(1 - pl.col("label")).otherwise(pl.col("label")).cast(pl.Int8).alias("label")
        prepared.table(name).with_columns(label).write_parquet(tmp_path / f"{name}.parquet")

    other = featured_from(tmp_path, tmp_path / "out")

    for name in ("tfidf", "senders", "test_matrix"):
        assert other.result["artifacts"][name]["digest"] == featured.result["artifacts"][name]["digest"]


def remove_a_source(repository: Repository) -> None:
    """Delete one view's file."""
    repository.source("email_text_features").unlink()


def damage_a_source(repository: Repository) -> None:
    """Overwrite one view's file."""
    repository.source("email_tfidf_features").write_bytes(b"PAR1 no more")


def lose_a_mail(repository: Repository) -> None:
    """Take one mail out of one view."""
    path = repository.source("email_structural_features")
    pl.read_parquet(path)[1:].write_parquet(path)


def lose_a_value(repository: Repository) -> None:
    """Make one value of one view null."""
    path = repository.source("email_temporal_features")
    frame = pl.read_parquet(path).with_row_index("row")
    value = pl.when(pl.col("row") == 0).then(None).otherwise(pl.col("hour_of_day")).alias("hour_of_day")
    frame.with_columns(value).drop("row").write_parquet(path)


@pytest.mark.parametrize("breaking", [remove_a_source, damage_a_source, lose_a_mail, lose_a_value])
def test_a_broken_offline_store_fails_the_run(
    prepared: Attempt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaking: Callable[[Repository], None]
) -> None:
    """The matrix is what Feast returns: when its store loses anything there is no matrix at all."""
    matrix = Repository.matrix

    def break_then_join(self: Repository, entities: pl.DataFrame) -> pl.DataFrame:
        breaking(self)
        return matrix(self, entities)

    monkeypatch.setattr(Repository, "matrix", break_then_join)

    attempt = featured_from(prepared.folder, tmp_path)

    assert attempt.message().startswith("FeatureStore: ")
    assert not (tmp_path / "train_matrix.parquet").exists()


def test_rows_that_feast_multiplies_fail_the_run(
    prepared: Attempt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More rows than mails would train on some mails twice: that is an error too."""
    historical = Repository._historical

    def doubled(self: Repository, asked: pl.DataFrame) -> object:
        found = pl.DataFrame(historical(self, asked))
        return pl.concat([found, found[:1]]).to_arrow()

    monkeypatch.setattr(Repository, "_historical", doubled)

    assert "rows for" in featured_from(prepared.folder, tmp_path).message()


def test_chunks_do_not_matter(
    prepared: Attempt, featured: Attempt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking Feast for three hundred mails at a time gives the values that asking at once gives."""
    monkeypatch.setattr("refit_data_prep.features.CHUNK", 300)

    other = featured_from(prepared.folder, tmp_path)

    assert other.table("train_matrix").equals(featured.table("train_matrix"))


def test_the_sender_join_does_not_explode() -> None:
    """A domain with a mail a minute for a month gives each mail at most the rows of its own hour."""
    times = pl.datetime_range(
        pl.datetime(2002, 6, 1), pl.datetime(2002, 7, 1), "1m", eager=True, time_unit="us", time_zone="UTC"
    )
    domains = pl.Series(["big.org"] * len(times))
    history = History.fit(domains=domains, times=times, labels=pl.Series([1] * len(times)))
    entities = pl.DataFrame({"sender_domain": domains, "event_timestamp": times})

    rows = sender_rows(history, entities)
    asked = entities.select("sender_domain", hour_of(pl.col("event_timestamp")))
    candidates = rows.join(asked, on=["sender_domain", "sender_hour"]).height

    assert rows.height <= 2 * len(times)
    assert candidates <= 61 * len(times)


def test_nothing_is_written_outside_the_scratch_folder(prepared: Attempt, tmp_path: Path) -> None:
    """Home and working folder stay empty, and usage reporting is off before Feast is loaded."""
    for name in ("home", "work", "out"):
        (tmp_path / name).mkdir()
    code = (
        "import os, sys; from pathlib import Path; sys.path[:0] = sys.argv[2:];"
        "from preptest.stages import run_stage; from refit_data_prep.features import features;"
        "prepared, out = Path(sys.argv[1]), Path(os.environ['OUT']);"
        f"a = run_stage('features', features, out, {{n: prepared / (n + '.parquet') for n in {INPUTS}}});"
        "assert os.environ['FEAST_USAGE'] == 'False'; sys.exit(a.code)"
    )
    root = Path(__file__).parents[2]
    paths = [str(root / "contract"), str(root / "data-prep")]
    env = {"HOME": str(tmp_path / "home"), "OUT": str(tmp_path / "out"), "PATH": os.environ["PATH"]}

    subprocess.run(
        [sys.executable, "-c", code, str(prepared.folder), *paths], check=True, env=env, cwd=tmp_path / "work"
    )

    assert list((tmp_path / "home").rglob("*")) == []
    assert list((tmp_path / "work").rglob("*")) == []
