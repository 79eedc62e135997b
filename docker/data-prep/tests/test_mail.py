from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from preptest.mails import odd, sample
from refit_data_prep import mail

AT = datetime(2002, 8, 22, 11, 26, 25, tzinfo=UTC)


@pytest.mark.parametrize("raw", odd().values(), ids=odd().keys())
def test_every_message_of_cpythons_tests_is_read(raw: bytes) -> None:
    """The library's own collection of odd messages, pictures among them, gives valid Unicode fields."""
    found = mail.parse(raw)

    "".join((found.subject, found.body_text, found.body_html, found.sender_domain)).encode()


HOSTILE = {
    "empty": b"",
    "one line end": b"\n",
    "NUL bytes": b"From: a@b.org\nSubject: x\x00y\n\nbo\x00dy\n",
    "unknown charset": b"Subject: a\nContent-Type: text/plain; charset=x-nonsense\n\nh\xe9llo\n",
    "lying charset": b"Subject: a\nContent-Type: text/plain; charset=us-ascii\n\nh\xe9llo \xff\xfe\n",
    "a codec that is none for text": b"Subject: =?zlib?b?eJwrAQAAewB7?= =?rot13?q?uryyb?=\n\nx\n",
    "base64 that is none": b"Subject: a\nContent-Transfer-Encoding: base64\nContent-Type: text/plain\n\n!!!a\n",
    "truncated multipart": b'Subject: a\nContent-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: text/pl',
    "multipart without boundary": b"Subject: a\nContent-Type: multipart/mixed\n\nx\n",
    "a boundary of its own": b'Subject: a\nContent-Type: multipart/mixed; boundary=""\n\n--\n\n--\n',
    "a huge header": b"Subject: " + b"x" * 10_000_000 + b"\n\nbody\n",
    "a header folded a million times": b"From: a@b.org\nSubject: x\n" + b" y\n" * 1_000_000 + b"\nbody\n",
    "a million encoded words": b"From: a@b.org\nSubject: "
    + b"=?utf-8?b?w7w=?= " * 1_000_000
    + b"\nDate: =?"
    + b"=?" * 10**6
    + b"\n\nx\n",
    "only a folded line": b" folded\nSubject: a\n\nx\n",
    "unclosed markup": b"Subject: a\nContent-Type: text/html\n\n" + b"<!--<script" * 100_000,
    "deep nesting": b"Subject: a\n"
    + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i) for i in range(3000)),
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_mail_is_read(raw: bytes) -> None:
    """Nothing that can be sent ends the parser, and what it gives is valid Unicode."""
    found = mail.parse(raw)

    "".join((found.subject, found.body_text, found.body_html, found.sender_domain)).encode()


def test_the_fields_of_an_ordinary_mail() -> None:
    """Subject and addresses are decoded, hops counted, and times are in UTC."""
    raw = (
        b"From mbox@line.org  Thu Aug 22 12:36:23 2002\n"
        b"Received: from a by b (x; y)\n\tfor <z>; Thu, 22 Aug 2002 07:36:16 -0400 (EDT)\n"
        b"Received: from c by a; Thu, 22 Aug 2002 07:00:00 -0400\n"
        b'From: "x@display.org" <Person@Example.ORG>\n'
        b"Subject: =?iso-8859-1?q?caf=E9?=\n =?utf-8?b?w7w=?= now\n"
        b"Date: Thu, 22 Aug 2002 18:26:25 +0700\n"
        b"Content-Type: multipart/alternative; boundary=b\nX-Mailer: Mailer 1\n\n"
        b"--b\nContent-Type: text/plain\n\nplain\n--b\nContent-Type: text/html\n\n<b>html</b>\n--b--\n"
    )

    found = mail.parse(raw)

    assert (found.subject, found.sender_domain) == ("caféü now", "example.org")
    assert (found.body_text.strip(), found.body_html.strip()) == ("plain", "<b>html</b>")
    assert (found.content_type, found.x_mailer, found.received_hop_count) == ("multipart/alternative", "Mailer 1", 2)
    assert (found.date, found.received) == (AT, datetime(2002, 8, 22, 11, 36, 16, tzinfo=UTC))


def test_text_without_headers_is_all_body() -> None:
    """A plain text, or a page, is a mail of which only the body is known."""
    assert mail.parse(b"Hello: there\n\nbuy now").body_text == "Hello: there\n\nbuy now"
    assert mail.parse(b"<html><p>buy now</p></html>").body_html == "<html><p>buy now</p></html>"


def test_an_encoded_word_never_becomes_header_syntax() -> None:
    """What an encoded word decodes to is text: it adds no line and no address."""
    raw = b"From: =?utf-8?q?x=40evil=2Eorg=3E?= <a@good.org>\nSubject: =?utf-8?q?a=0ABcc=3A_b?=\n\nx\n"

    found = mail.parse(raw)

    assert found.sender_domain == "good.org"
    assert found.subject == "a Bcc: b"


def test_the_library_reads_what_the_fast_parser_refuses() -> None:
    """Broken base64 beside readable text: the text is still found."""
    raw = (
        b"Subject: a\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nreadable\n"
        b"--b\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\nAAAAA\n--b--\n"
    )

    assert "readable" in mail.parse(raw).body_text


def test_both_parsers_agree_on_real_mail() -> None:
    """On the default data the standard library reads the same words in nearly every mail."""
    from email import message_from_bytes

    mails = sample(300)["raw"].to_list()
    same = 0
    for raw in mails:
        texts, pages = mail._bodies_by_library(message_from_bytes(raw))
        fast = mail.parse(raw)
        same += ("\n".join(texts).split(), "\n".join(pages).split()) == (
            fast.body_text.split(),
            fast.body_html.split(),
        )

    assert same >= 0.95 * len(mails)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("Thu, 22 Aug 2002 18:26:25 +0700", AT),
        ("22 Aug 02 11:26:25 GMT", AT),
        ("2002-08-22 11:26:25", AT),
        ("2002-08-22T13:26:25+02:00", AT),
        ("Thu, 22 Aug 2002 11:26:25 -0000", AT),
        ("Mon, 01 Jan 0000 00:00:00 +0000", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", None),
        ("Thu, 32 Aug 2002 11:26:25 GMT", None),
        ("Thu, 22 Aug 2002 11:26:25 +99999999", None),
        ("yesterday", None),
        ("", None),
        ("1" * 100_000, None),
    ],
)
def test_times_are_read_or_refused(text: str, want: datetime | None) -> None:
    """A time that no clock shows is None, never an exception."""
    assert mail.parse_time(text) == want


LATEST = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("date", "received", "want"),
    [
        (AT, AT + DAY, AT),
        (AT, AT + DAY + timedelta(seconds=1), AT + DAY + timedelta(seconds=1)),
        (AT, AT - 2 * DAY, AT - 2 * DAY),
        (AT, None, AT),
        (None, AT, AT),
        (LATEST + DAY, AT, AT),
        (datetime(1980, 1, 1, tzinfo=UTC), AT, AT),
        (AT, datetime(1980, 1, 1, tzinfo=UTC), AT),
        (LATEST, None, LATEST),
        (LATEST + timedelta(microseconds=1), None, None),
        (mail.EARLIEST, None, mail.EARLIEST),
        (None, None, None),
    ],
)
def test_received_checks_the_senders_date(
    date: datetime | None, received: datetime | None, want: datetime | None
) -> None:
    """Date counts within a day of Received; only times from 1990 to the landing count at all."""
    assert mail.event_time(date, received, latest=LATEST) == want


@pytest.mark.parametrize(
    ("address", "want"),
    [
        ("a@Example.org", "example.org"),
        ('"b@fake.org" <a@real.org>', "real.org"),
        ("a@b@c.org", "c.org"),
        ("<a@x.org.>", "x.org"),
        ("nobody", ""),
        ("", ""),
        ("a@", ""),
        ("a@b\x00c.org", "b"),
    ],
)
def test_the_domain_of_an_address(address: str, want: str) -> None:
    """The address in the last angle brackets decides; no address is no domain."""
    assert mail.domain_of(address) == want
