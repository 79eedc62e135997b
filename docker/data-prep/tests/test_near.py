from __future__ import annotations

from contextlib import closing
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from preptest.mails import sample, sentence
from refit_data_prep import mail, near, normalise
from refit_data_prep.near import Signatures, signature


def groups_of(texts: list[str], folder: Path) -> list[int]:
    """Return the group of each text."""
    with closing(Signatures(folder / "signatures")) as signatures:
        for text in texts:
            signatures.append(signature(text).tobytes())
        groups: list[int] = signatures.groups(np.arange(len(texts))).tolist()
    return groups


def test_near_copies_are_grouped_and_others_are_not(tmp_path: Path) -> None:
    """Another price, a word added at the end: one group, named by its first member. Other text: another."""
    text = sentence(1, words=80)
    texts = [sentence(2), text + " only 19 dollars", sentence(3), text + " only 2049 dollars", text + " bye"]

    assert groups_of(texts, tmp_path) == [0, 1, 2, 1, 1]


def test_texts_without_words_are_near_only_when_equal(tmp_path: Path) -> None:
    """Mails of punctuation, or of one word, do not all fall into one group."""
    assert groups_of(["!!!", "???", "!!!", "hello", "goodbye", ""], tmp_path) == [0, 1, 0, 3, 4, 5]


def test_rows_that_are_left_out_link_nothing(tmp_path: Path) -> None:
    """Groups are those of the rows asked for, as positions among them."""
    with closing(Signatures(tmp_path / "signatures")) as signatures:
        for text in (sentence(1), sentence(2), sentence(1)):
            signatures.append(signature(text).tobytes())

        assert signatures.groups(np.array([2, 1])).tolist() == [0, 1]
        assert signatures.groups(np.array([], dtype=np.int64)).tolist() == []


def test_no_real_near_copy_is_missed(tmp_path: Path) -> None:
    """Of all pairs of real mails whose word runs agree by 85 %, every one is in one group."""
    texts = []
    for raw in sample(450)["raw"].to_list():
        found = mail.parse(raw)
        texts.append(normalise.canonical(normalise.body_of(found.body_text, found.body_html)))
    runs = [frozenset(zip(w, w[1:], w[2:], strict=False)) for w in map(normalise.words, texts)]
    groups = groups_of(texts, tmp_path)

    near = [
        (i, j)
        for i, j in combinations(range(len(texts)), 2)
        if runs[i] and len(runs[i] & runs[j]) >= 0.85 * len(runs[i] | runs[j])
    ]

    assert near
    assert [pair for pair in near if groups[pair[0]] != groups[pair[1]]] == []


def test_the_estimate_is_that_of_the_sets() -> None:
    """Signatures agree in about the share of three-word runs that two texts have in common."""
    words = sentence(1, words=600).split()
    left, right = " ".join(words[:400]), " ".join(words[200:])

    agreement = (signature(left) == signature(right)).mean()

    assert agreement == pytest.approx(1 / 3, abs=0.2)


def test_many_copies_cost_linear_time(tmp_path: Path) -> None:
    """Twenty thousand copies of one mail are grouped without comparing every pair."""
    compared = near._candidates(np.ones((20_000, 4), dtype=np.uint32))
    with closing(Signatures(tmp_path / "signatures")) as signatures:
        signatures.append(signature(sentence(1)).tobytes() * 20_000)
        groups = signatures.groups(np.arange(20_000))

    assert set(groups.tolist()) == {0}
    assert len(compared) < 2 * 20_000
