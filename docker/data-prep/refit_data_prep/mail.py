"""Raw mail to fields, whatever is wrong with it.

Headers are read here, byte for byte, so that a lying charset or an encoded word that
decodes to header syntax cannot change which header is which. Bodies come from
fast-mail-parser and, for the few mails it refuses, from the standard library. No input
raises: what cannot be read at all becomes the body.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import contextlib
import quopri
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Final

EARLIEST: Final = datetime(1990, 1, 1, tzinfo=UTC)
"""No mail is believed to be older than this."""

TOLERANCE: Final = timedelta(days=1)
"""How far `Date` may be from `Received` before `Received` wins."""

_LONGEST_TIME: Final = 200
_MOST_WORDS: Final = 2000
_YEAR_BELOW_100: Final = re.compile(r"[A-Za-z]{3,9}[.\s-]+00\d\d\b")
_HEADER: Final = re.compile(rb"([\x21-\x39\x3b-\x7e]{1,100})[ \t]*:")
_MBOX: Final = re.compile(rb"\s*(?:>?From [^\n]*\n)?")
_WORD: Final = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?\s]*)\?=")
_BETWEEN: Final = re.compile(r"(\?=)[ \t\r\n]+(=\?[^?\s]{1,60}\?[bBqQ]\?[^?\s]*\?=)")
_ADDRESS: Final = re.compile(r"@([^\s@<>\"'(),;:\[\]\\\x00-\x1f\x7f]+)")
_ANGLE: Final = re.compile(r"<([^<>]*)>")
_KNOWN: Final = frozenset(b"from to date received subject message-id content-type return-path mime-version".split())
_READ: Final = frozenset(b"from date received subject content-type x-mailer".split())


@dataclass(frozen=True, kw_only=True)
class Mail:
    """What the stages need of one mail. Texts are valid Unicode; missing is empty or None.

    `date` is what the sender claims, `received` what the last hop (the topmost Received
    header) wrote; both are aware, in UTC.
    """

    subject: str = ""
    sender_domain: str = ""
    body_text: str = ""
    body_html: str = ""
    content_type: str = ""
    x_mailer: str = ""
    received_hop_count: int = 0
    date: datetime | None = None
    received: datetime | None = None


def parse(raw: bytes) -> Mail:
    """Return the fields of the mail `raw`; text without mail headers is all body."""
    headers, body = _split(raw)
    if not _KNOWN.intersection(headers):
        return _plain(raw)
    texts, htmls = _bodies(raw, body)
    hops = headers.get(b"received", [])
    return Mail(
        subject=decode_words(_first(headers, b"subject")).strip(),
        sender_domain=domain_of(_first(headers, b"from")),
        body_text="\n".join(texts),
        body_html="\n".join(htmls),
        content_type=_first(headers, b"content-type").partition(";")[0].strip().lower(),
        x_mailer=_first(headers, b"x-mailer").strip(),
        received_hop_count=len(hops),
        date=parse_time(_first(headers, b"date")),
        received=parse_time(hops[0].rpartition(";")[2]) if hops else None,
    )


def parse_time(text: str) -> datetime | None:
    """Return the RFC 5322 or ISO 8601 time in `text`, in UTC, or None.

    A time without a zone is taken as UTC.
    """
    text = text.strip()
    # The library reads the year 0000 as 2000, as if it had two digits.
    if not text or len(text) > _LONGEST_TIME or _YEAR_BELOW_100.search(text):
        return None
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            found = read(text)
            zoned = found if found.tzinfo else found.replace(tzinfo=UTC)
            return zoned.astimezone(UTC)
        except (ValueError, TypeError, IndexError, OverflowError, AttributeError):
            continue
    return None


def event_time(date: datetime | None, received: datetime | None, *, latest: datetime) -> datetime | None:
    """Return when the mail happened, or None when neither time is usable.

    Usable is from EARLIEST to `latest`. The sender's `date` counts unless `received`
    differs from it by more than TOLERANCE.
    """
    claimed = date if date is not None and EARLIEST <= date <= latest else None
    seen = received if received is not None and EARLIEST <= received <= latest else None
    if claimed is None or seen is None:
        return claimed or seen
    return seen if abs(claimed - seen) > TOLERANCE else claimed


def domain_of(address: str) -> str:
    """Return the lower-case domain of an address header, "" when there is none.

    The last <…> decides, so that a display name that looks like an address does not.
    """
    angles = [a for a in _ANGLE.findall(address) if "@" in a]
    found = _ADDRESS.findall(angles[-1] if angles else address)
    return found[-1].strip(".").lower()[:253] if found else ""


def decode_words(value: str) -> str:
    """Return `value` with its RFC 2047 encoded words decoded; broken ones stay as they are."""
    if "=?" not in value:
        return value
    return _WORD.sub(_decode_word, _BETWEEN.sub(r"\1\2", value))


def _decode_word(match: re.Match[str]) -> str:
    charset, encoding, text = match.groups()
    data = text.encode("utf-8", "replace")
    try:
        if encoding in "bB":
            decoded = base64.b64decode(data + b"=" * (-len(data) % 4))
        else:
            decoded = quopri.decodestring(data, header=True)
    except (ValueError, binascii.Error):
        return match.group(0)
    # Line ends inside an encoded word would forge header lines further on.
    return " ".join(_decoded(decoded, charset.partition("*")[0]).splitlines())


def _decoded(data: bytes, charset: str) -> str:
    """Decode by the named charset, else UTF-8, else Windows-1252 as most such mail is."""
    for name in (charset, "utf-8"):
        try:
            # Codecs such as zlib or rot13 are none for text; "idna" and "punycode" explode.
            info = codecs.lookup(name)
            if info._is_text_encoding and info.name not in {"idna", "punycode"}:
                return _clean(data.decode(name))
        except (LookupError, ValueError, TypeError):
            continue
    return data.decode("cp1252", "replace")


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _split(raw: bytes) -> tuple[dict[bytes, list[str]], bytes]:
    """Return the header values by lower-case name, in order, and the bytes of the body.

    Headers that nobody reads have empty values.
    """
    fields: list[tuple[bytes, list[bytes]]] = []
    mbox = _MBOX.match(raw)
    at, known = (mbox.end() if mbox else 0), False
    while at < len(raw):
        end = raw.find(b"\n", at)
        end = len(raw) if end < 0 else end
        line = raw[at:end].rstrip(b"\r")
        at = end + 1
        if not line:
            break
        if line[:1] in b" \t":
            # A continuation of nothing we know (an mbox line, junk) belongs to nothing.
            if known:
                fields[-1][1].append(line)
            continue
        name = _HEADER.match(line)
        known = name is not None
        if name:
            fields.append((name.group(1).lower(), [line[name.end() :]]))
    headers: dict[bytes, list[str]] = {}
    for key, parts in fields:
        value = _decoded(b"".join(parts), "utf-8") if key in _READ else ""
        headers.setdefault(key, []).append(value)
    return headers, raw[at:]


def _first(headers: dict[bytes, list[str]], name: bytes) -> str:
    return headers.get(name, [""])[0]


def _plain(raw: bytes) -> Mail:
    text = _decoded(raw, "utf-8")
    head = text[:2000].lower()
    if "<html" in head or "<body" in head or "<!doctype html" in head:
        return Mail(body_html=text, content_type="text/html")
    return Mail(body_text=text, content_type="text/plain")


def _bodies(raw: bytes, body: bytes) -> tuple[list[str], list[str]]:
    from fast_mail_parser import ParseError, parse_email

    # The time that the fast parser takes for headers grows with the square of their encoded words.
    if raw.count(b"=?", 0, len(raw) - len(body)) <= _MOST_WORDS:
        with contextlib.suppress(ParseError, ValueError):
            mail = parse_email(raw)
            return mail.text_plain, mail.text_html
    try:
        return _bodies_by_library(message_from_bytes(raw, policy=policy.compat32))
    except Exception:  # noqa: BLE001 - the library's own bugs on hostile mail are many
        return [_decoded(body, "utf-8")], []


def _bodies_by_library(message: Message) -> tuple[list[str], list[str]]:
    texts: list[str] = []
    htmls: list[str] = []
    for part in _leaves(message):
        kind = part.get_content_type()
        if kind in {"text/plain", "text/html"}:
            data = part.get_payload(decode=True)
            charset = str(part.get_param("charset", "utf-8"))
            text = _decoded(data if isinstance(data, bytes) else b"", charset)
            (texts if kind == "text/plain" else htmls).append(text)
    return texts, htmls


def _leaves(message: Message) -> Iterable[Message]:
    for part in message.walk():
        if not part.is_multipart() and part.get_content_disposition() != "attachment":
            yield part
