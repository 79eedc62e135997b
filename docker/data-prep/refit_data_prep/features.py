"""The features stage: train and test mail to two matrices of 524 columns.

TF-IDF and the senders' history are fitted on the part "fit" alone. Every mail's features
then go into the parquet files of a Feast repository, and the matrices are what Feast's
point-in-time join returns for the mails, in bounded chunks: time grows with the mails, memory
does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from refit_contract.columns import FEATURES, KEYS, VIEWS
from refit_contract.errors import BadInputError
from refit_contract.run import Context, main
from refit_contract.spec import Artifact, Spec
from refit_data_prep.engineered import engineered
from refit_data_prep.matrix import MAIL_SCHEMA, text_of, with_body
from refit_data_prep.repository import SENDER_VIEW, Repository, sender_rows
from refit_data_prep.rows import Rows
from refit_data_prep.sender import History
from refit_data_prep.split import FIT, TEST
from refit_data_prep.tfidf import Tfidf

BATCH: Final = 1_000
"""Mails whose texts are held at once."""

CHUNK: Final = 20_000
"""Mails that Feast is asked for at once."""

_COLUMNS: Final = tuple(name for view, names in VIEWS.items() if view != SENDER_VIEW for name in names)


def features(_spec: Spec, context: Context) -> tuple[Mapping[str, Any], Mapping[str, Artifact]]:
    """Do the stage's work; see the module's text.

    Raises BadInputError when there is nothing to fit on, FeatureStoreError when Feast fails.
    """
    files = context.download("train"), context.download("test")
    entities = _entities(context.download("entities"))
    fit = entities.filter(pl.col("part") == FIT)
    if fit.is_empty():
        raise BadInputError("entities.parquet has no row of part 'fit'; run prepare again")
    folder = context.scratch / "feast"
    folder.mkdir()
    repository = Repository(folder, threads=context.cpus)
    # Feast works in Python, polars outside of it: neither waits for the other.
    with (
        ThreadPoolExecutor(max_workers=1) as pool,
        closing(Rows(context.scratch / "rows", count=len(entities), width=len(_COLUMNS))) as rows,
    ):
        applied = pool.submit(repository.apply)
        tfidf = Tfidf.fit(_texts(files[0]))
        context.log.info("%d terms of %d mails", len(tfidf.terms), tfidf.documents)
        history = History.fit(domains=fit["sender_domain"], times=fit["event_timestamp"], labels=fit["label"])
        sender_rows(history, entities).write_parquet(repository.source(SENDER_VIEW))
        _compute(context, tfidf, files, entities, rows)
        applied.result()
        paths = {**_write_fitted(context.scratch, tfidf, history), "registry": repository.registry}
        paths |= _write_matrices(context, repository, entities, rows)
    test = int((entities["part"] == TEST).sum())
    figures = {
        "train_rows": len(entities) - test,
        "test_rows": test,
        "columns": len(FEATURES),
        "feast_seconds": round(repository.seconds, 3),
        "vocabulary": len(tfidf.terms),
    }
    return figures, {name: context.upload(path) for name, path in paths.items()}


def _entities(path: Path) -> pl.DataFrame:
    """Return all mails without their texts, in matrix order."""
    return pl.read_parquet(path).select(KEYS).sort("event_timestamp", "email_id")


def _texts(path: Path) -> Iterator[pl.Series]:
    for mails in _batches(path):
        yield text_of(with_body(mails.filter(pl.col("part") == FIT)))


def _batches(path: Path) -> Iterator[pl.DataFrame]:
    file = pq.ParquetFile(path, pre_buffer=False)
    columns = ["email_id", "part", *MAIL_SCHEMA]
    for batch in file.iter_batches(batch_size=BATCH, columns=columns):
        yield pl.DataFrame(batch)


def _compute(context: Context, tfidf: Tfidf, files: tuple[Path, ...], entities: pl.DataFrame, rows: Rows) -> None:
    """Write the features of the four views that are keyed by email_id to `rows`, in matrix order."""
    order = entities.select("email_id").with_row_index("row")
    done = 0
    for path in files:
        places = _places(path, order)
        for mails in _batches(path):
            context.check_deadline()
            full = with_body(mails)
            values = np.concatenate([engineered(full).to_numpy(), tfidf.transform(text_of(full))], axis=1)
            rows.write(places[: len(mails)], values)
            places = places[len(mails) :]
            done += len(mails)
            context.progress.report("features", done=done, total=len(entities))


def _places(path: Path, order: pl.DataFrame) -> NDArray[np.int64]:
    """Return the row in matrix order of each mail of the file `path`, -1 for one that is in no matrix."""
    mails = pl.read_parquet(path, columns=["email_id"])
    found = mails.join(order, on="email_id", how="left", maintain_order="left")["row"]
    return found.cast(pl.Int64).fill_null(-1).to_numpy()


def _write_matrices(context: Context, repository: Repository, entities: pl.DataFrame, rows: Rows) -> dict[str, Path]:
    """Write what Feast returns for `entities`, a chunk at a time; return the two matrices."""
    paths = {name: context.scratch / f"{name}.parquet" for name in ("train_matrix", "test_matrix")}
    writers = {name: _matrix_writer(path) for name, path in paths.items()}
    try:
        for at in range(0, len(entities), CHUNK):
            context.check_deadline()
            chunk = entities.slice(at, CHUNK)
            _write_sources(repository, chunk, rows, at)
            values = pl.concat([chunk, repository.matrix(chunk)], how="horizontal")
            judged = pl.col("part") == TEST
            for name, chosen in (("train_matrix", ~judged), ("test_matrix", judged)):
                writers[name].write_table(values.filter(chosen).to_arrow().cast(writers[name].schema))
            context.progress.report("matrices", done=at + len(chunk), total=len(entities))
    finally:
        for writer in writers.values():
            writer.close()
    return paths


def _write_sources(repository: Repository, chunk: pl.DataFrame, rows: Rows, at: int) -> None:
    """Write the rows of `chunk`, from the row `at` on, as the sources of the views keyed by email_id.

    They hold no other chunk's: a mail's row answers for that mail alone, and Feast reads a source
    whole each time that it is asked.
    """
    filled = rows.filled[at : at + len(chunk)]
    keys = chunk.select(_SOURCE_KEYS).filter(filled)
    values = pl.DataFrame(rows.read(at, len(chunk))[filled], schema=list(_COLUMNS))
    for view, names in VIEWS.items():
        if view != SENDER_VIEW:
            table = pl.concat([keys, values.select(names)], how="horizontal")
            table.write_parquet(repository.source(view), compression="uncompressed", statistics=False)


def _write_fitted(folder: Path, tfidf: Tfidf, history: History) -> dict[str, Path]:
    paths = {"tfidf": folder / "tfidf.json", "senders": folder / "senders.parquet"}
    tfidf.save(paths["tfidf"])
    history.save(paths["senders"])
    return paths


_SOURCE_KEYS: Final = ("email_id", "event_timestamp")
_TIME: Final = pa.timestamp("us", tz="UTC")


def _matrix_writer(path: Path) -> pq.ParquetWriter:
    kinds = {"event_timestamp": _TIME, "label": pa.int8()}
    keys = [(name, kinds.get(name, pa.string())) for name in KEYS]
    schema = pa.schema([*keys, *((name, pa.float32()) for name in FEATURES)])
    return pq.ParquetWriter(path, schema, compression="zstd")


if __name__ == "__main__":
    raise SystemExit(main("features", features))
