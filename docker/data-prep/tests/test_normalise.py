from __future__ import annotations

import time

import pytest

from refit_data_prep import normalise


@pytest.mark.parametrize(
    ("source", "want"),
    [
        ("<p>Buy&nbsp;<b>now</b></p>", "Buy now"),
        ("a<script>var x = '<p>hidden</p>';</SCRIPT>b", "a >b"),
        ("a<style>p {}</style >b<!-- <p>hidden --> c", "a >b c"),
        ("kept<!-- never closed", "kept"),
        ("1 < 2 &lt;p&gt;", "1 < 2 <p>"),
        ("", ""),
    ],
)
def test_only_what_a_reader_sees_is_kept(source: str, want: str) -> None:
    """Tags, scripts, styles and comments go; entities become their characters."""
    assert normalise.visible_text(source).replace(" >", " >") == want


@pytest.mark.parametrize("unclosed", ["<", "<!--", "<script", "<a ", "&", "&#"])
def test_markup_that_is_never_closed_costs_linear_time(unclosed: str) -> None:
    """A megabyte of open tags takes no longer than a megabyte of text, more or less."""
    began = time.monotonic()

    normalise.visible_text(unclosed * (1_000_000 // len(unclosed)))

    assert time.monotonic() - began < 5


def test_the_same_content_has_the_same_hash() -> None:
    """Case, spacing, line ends and compatibility characters do not make another mail; words do."""
    texts = ["Free  Money\r\n", "free money", "\uff46\uff52\uff45\uff45 money", "free honey"]

    hashes = [normalise.content_hash("", normalise.canonical(t)) for t in texts]

    assert hashes[0] == hashes[1] == hashes[2] != hashes[3]


def test_subject_and_body_do_not_run_together() -> None:
    """Moving a word from the subject to the body is another content."""
    assert normalise.content_hash("a b", "c") != normalise.content_hash("a", "b c")


def test_numbers_are_alike() -> None:
    """Near copies differ in serial numbers and prices: every number is the same word."""
    assert normalise.words("only 19.99 today, no. 4711") == ["only", "0", "0", "today", "no", "0"]


def test_the_plain_body_is_preferred() -> None:
    """HTML is read only when the plain body is blank."""
    assert normalise.body_of("plain", "<p>html</p>") == "plain"
    assert normalise.body_of(" \n", "<p>html</p>") == "html"
