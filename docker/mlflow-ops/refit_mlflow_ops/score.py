"""Score raw mail with a logged model, in an interpreter that knows nothing but the model.

Run by path in isolated mode (`python -I score.py <model> <mails.parquet> <now> <out.parquet>`), never
imported: the process that evaluates has this version's code loaded, and a champion logged by
another version would silently be run with it. Here the model brings its own code, as it does
when it is served.

<mails.parquet> has a column `raw` (binary); <now> is the time to judge them at, for a model that
has such a parameter; <out.parquet> gets `probability` and `label` in the
same order.
"""

from __future__ import annotations

import sys

_BATCH = 1000  # mails at a time: bounds memory whatever the size of the test split


def main(model: str, mails: str, now: str, out: str) -> None:
    """Score the file `mails` with `model` (a folder or a model URI) into the file `out`."""
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
    main(*sys.argv[1:])
