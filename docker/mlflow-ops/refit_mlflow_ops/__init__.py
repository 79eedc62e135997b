"""The evaluate workload: one honest judgement of the candidates, and a model that takes raw mail.

`evaluate` is the stage (`python -m refit_mlflow_ops.evaluate <spec URI>`). It stands on pure
modules: `candidate` (what train and tune handed over), `measures` (figures and their intervals),
`plots` (pictures), `champion` (the paired comparison), `model` (the files of the registered model)
and `serving` (what MLflow runs when mail comes in).
"""

from __future__ import annotations
