"""The file that MLflow runs to make the served model ("model from code"): no pickles.

Not to be imported: it hands a model to MLflow when it is run.
"""

from __future__ import annotations

import os
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from refit_contract import cpus


class SpamDetector(PythonModel):
    """Takes raw mail in, gives probability and label out."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the model's files once, when the server starts."""
        threads = cpus.limit_threads(env=os.environ)
        from refit_mlflow_ops.detector import Detector

        self._detector = Detector.load(context.artifacts, threads=threads)

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 - MLflow's signature
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Return `probability` (of spam, 0 to 1) and `label` ("spam" or "ham") for each row.

        `model_input` has a column `raw`: an RFC 822 message as string or bytes. With the
        parameter `encoding` set to "base64" a string holds the bytes in base64, which is how
        mail that is no valid UTF-8 travels in JSON. The parameter `now` (ISO 8601) stands for the
        time of the call, which bounds the dates that are believed. Raises ValueError naming a row that is no mail.
        """
        from refit_mlflow_ops.detector import to_bytes, to_time

        given = {"encoding": "text", "now": "", **(params or {})}
        raw = to_bytes(list(model_input["raw"]), encoding=given["encoding"])
        features = self._detector.features(raw, now=to_time(given["now"]))
        probabilities = self._detector.probabilities(features)
        return pd.DataFrame(
            {"probability": probabilities, "label": self._detector.labels(probabilities)},
            index=model_input.index,
        )


set_model(SpamDetector())
