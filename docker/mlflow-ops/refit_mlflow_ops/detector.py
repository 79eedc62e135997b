"""From raw mail to probability and label: one code for the evaluation and the served model."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from refit_contract import FEATURES
from refit_data_prep.matrix import features_of, mails_of
from refit_data_prep.sender import History
from refit_data_prep.tfidf import Tfidf
from refit_mlflow_ops import candidate, measures

if TYPE_CHECKING:
    import xgboost

Features = npt.NDArray[np.float32]

SPAM: Final = "spam"
HAM: Final = "ham"
ENCODINGS: Final = ("text", "base64")
"""How a `raw` string is to be read: as the mail itself, or as its bytes in base64."""


@dataclass(frozen=True, kw_only=True)
class Detector:
    """The fitted parts of a spam detector, loaded."""

    booster: xgboost.Booster
    tfidf: Tfidf
    senders: History
    threshold: float

    @classmethod
    def load(cls, files: Mapping[str, str | Path], *, threads: int) -> Detector:
        """Return the detector of `files`: model, tfidf, senders and choice, by path."""
        import xgboost

        booster = xgboost.Booster(model_file=str(files["model"]))
        booster.set_param({"nthread": threads})
        choice = json.loads(Path(files["choice"]).read_text(encoding="utf-8"))
        return cls(
            booster=booster,
            tfidf=Tfidf.load(Path(files["tfidf"])),
            senders=History.load(Path(files["senders"])),
            threshold=float(choice["threshold"]),
        )

    def features(self, raw: Sequence[bytes], *, now: datetime | None = None) -> Features:
        """Return the 524 features of each RFC 822 message, shape (n, 524).

        `now` (aware; the time of the call if None) bounds the dates that are believed, and is the
        date of a mail that has no usable one.
        """
        return features_of(mails_of(raw, now=now), tfidf=self.tfidf, senders=self.senders)

    def probabilities(self, features: Features) -> measures.Probabilities:
        """Return the probability of spam of each row, shape (n,)."""
        if not len(features):
            return np.empty(0)
        return candidate.predict(self.booster, features)

    def labels(self, probabilities: measures.Probabilities) -> list[str]:
        """Return "spam" where the probability reaches the threshold, else "ham"."""
        return [SPAM if p >= self.threshold else HAM for p in probabilities]


def to_bytes(values: Sequence[object], *, encoding: str = "text") -> list[bytes]:
    """Return each mail of `values` as the bytes of its message.

    Bytes are taken as they are; a string is the message itself (encoded as UTF-8) or, with
    `encoding` "base64", its bytes in base64. Raises TypeError for a value that is neither and
    ValueError for anything else that is wrong, naming the row and what is accepted.
    """
    if encoding not in ENCODINGS:
        raise ValueError(f"encoding is {encoding!r}; accepted are: {', '.join(ENCODINGS)}")
    return [_bytes(row, value, encoding) for row, value in enumerate(values)]


def to_time(text: str) -> datetime | None:
    """Return the ISO 8601 time in `text`, UTC unless it says otherwise, or None for "".

    Raises ValueError naming `text` and what is accepted.
    """
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as err:
        raise ValueError(f"now is {text!r}; accepted is an ISO 8601 time") from err
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def feature_titles(tfidf: Path) -> list[str]:
    """Return what to call each feature in a picture, in column order: a TF-IDF column by its term."""
    terms = json.loads(tfidf.read_text(encoding="utf-8"))["terms"]
    named = {f"tfidf_{i}": f"“{term}” (tfidf_{i})" for i, term in enumerate(terms)}
    return [named.get(feature, feature) for feature in FEATURES]


def _bytes(row: int, value: object, encoding: str) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if not isinstance(value, str):
        raise TypeError(
            f"raw of row {row} is {type(value).__name__}; accepted is an RFC 822 message as string or bytes"
        )
    if encoding == "base64":
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as err:
            raise ValueError(f"raw of row {row} is not base64: {err}") from err
    try:
        # Bytes that Python's email package could not decode come as surrogates: take them back.
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace")
