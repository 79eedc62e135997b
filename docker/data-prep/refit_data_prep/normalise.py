"""One canonical text for a mail: what it says, whatever it looks like."""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata
from typing import Final

_TAG: Final = re.compile(r"<[^<>]*>")
_SPACE: Final = re.compile(r"\s+")
_WORD: Final = re.compile(r"\w+")
_DIGITS: Final = re.compile(r"\d+")
_HIDDEN: Final = tuple(
    (re.compile(start, re.IGNORECASE), re.compile(end, re.IGNORECASE))
    for start, end in (("<!--", "-->"), ("<script", "</script"), ("<style", "</style"))
)


def visible_text(source: str) -> str:
    """Return what a reader sees of the HTML `source`: no tags, scripts, styles, comments.

    Linear in the length of `source`, whatever is left unclosed in it.
    """
    for start, end in _HIDDEN:
        source = _without(source, start, end)
    return _SPACE.sub(" ", html.unescape(_TAG.sub(" ", source))).strip()


def body_of(body_text: str, body_html: str) -> str:
    """Return the plain body, or the visible text of the HTML one when there is none."""
    return body_text if body_text.strip() else visible_text(body_html)


def canonical(text: str) -> str:
    """Return `text` in one form: NFKC, case folded, single spaces."""
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def content_hash(subject: str, body: str) -> str:
    """Return the name of a mail's content: 32 hex characters of BLAKE2b.

    `subject` and `body` are canonical.
    """
    content = f"{subject}\n{body}".encode("utf-8", "replace")
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def words(text: str) -> list[str]:
    """Return the words of a canonical text with every run of digits as one "0".

    Near copies often differ only in a price, a date or a serial number.
    """
    return _WORD.findall(_DIGITS.sub("0", text))


def _without(source: str, start: re.Pattern[str], end: re.Pattern[str]) -> str:
    kept, at = [], 0
    while begin := start.search(source, at):
        kept.append(source[at : begin.start()])
        close = end.search(source, begin.end())
        if close is None:
            return " ".join(kept)
        at = close.end()
    kept.append(source[at:])
    return " ".join(kept)
