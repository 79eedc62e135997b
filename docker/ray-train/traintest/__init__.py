"""What the tests of the train and tune stages share; no part of the image."""

from __future__ import annotations
