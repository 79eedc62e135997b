"""What the tests of evaluate stand on: a small world of mails with fitted candidates."""

from __future__ import annotations
