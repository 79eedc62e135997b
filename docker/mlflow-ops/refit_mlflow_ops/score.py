"""Score raw mail with a logged model, in an interpreter that knows nothing but the model.

Run by path in isolated mode (`python -I score.py`), never imported: the process that evaluates has
this version's code loaded, and a champion logged by another version would silently be run with it.
Here the model brings its own code, as it does when it is served.

One line of JSON on standard input says what to do; until it comes, the libraries are imported that
models of any version use. It names `model`, a folder or a model URI; `mails`, a parquet file with
a column `raw` (binary); `now`, the time to judge them at, for a model that has such a parameter;
and `out`, the parquet file that gets `probability` and `label` in the same order.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings

_BATCH = 1000  # mails at a time: bounds memory whatever the size of the test split

_LIBRARIES = ("xgboost", "mlflow.pyfunc", "mlflow.tracking.request_header.registry", "pandas", "polars", "scipy.sparse")


def main() -> None:
    """Import, read the request, and answer it."""
    _prepare()
    line = sys.stdin.readline()
    if line:
        _score(**json.loads(line))


def _prepare() -> None:
    """Import what models use, without what that would bring along for nothing.

    XGBoost would import scikit-learn, and MLflow's client a plugin of Feast's: seconds each.
    """
    needless = [name for name in ("sklearn", "feast") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(needless))  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Failure attempting to register request header provider")
        for name in _LIBRARIES:
            try:
                importlib.import_module(name)
            except ModuleNotFoundError:
                continue  # a model that needs it will say so
    for name in needless:
        del sys.modules[name]


def _score(*, model: str, mails: str, now: str, out: str) -> None:
    import mlflow.pyfunc
    import pyarrow as pa
    import pyarrow.parquet as pq

    detector = mlflow.pyfunc.load_model(model)
    accepted = detector.metadata.get_params_schema()
    params = {"now": now} if accepted and "now" in {p.name for p in accepted.params} else None
    schema = pa.schema([("probability", pa.float64()), ("label", pa.string())])
    with pq.ParquetWriter(out, schema) as writer:
        for batch in pq.ParquetFile(mails).iter_batches(_BATCH, columns=["raw"]):
            scored = detector.predict(batch.to_pandas(), params=params)[schema.names]
            writer.write_table(pa.Table.from_pandas(scored, schema=schema, preserve_index=False))


if __name__ == "__main__":
    main()
