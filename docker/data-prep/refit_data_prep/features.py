"""The features stage: train and test mail to two matrices of 524 columns.

TF-IDF and the senders' history are fitted on the part "fit" alone. Every mail's features
then go into the parquet files of a Feast repository, and the matrices are what Feast's
point-in-time join returns for the mails, in bounded chunks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from refit_contract.columns import FEATURES, KEYS, VIEWS
from refit_contract.errors import BadInputError
from refit_contract.run import Context, main
from refit_contract.spec import Artifact, Spec
from refit_data_prep.engineered import engineered
from refit_data_prep.matrix import MAIL_SCHEMA, text_of, with_body
from refit_data_prep.repository import SENDER_VIEW, Repository, sender_rows
from refit_data_prep.sender import History
from refit_data_prep.split import FIT
from refit_data_prep.tfidf import Tfidf

BATCH: Final = 1_000
"""Mails whose texts are held at once."""

CHUNK: Final = 20_000
"""Mails that Feast is asked for at once."""

_TFIDF_VIEW: Final = "email_tfidf_features"


def features(_spec: Spec, context: Context) -> tuple[Mapping[str, Any], Mapping[str, Artifact]]:
    """Do the stage's work; see the module's text.

    Raises BadInputError when there is nothing to fit on, FeatureStoreError when Feast fails.
    """
    train, test = context.download("train"), context.download("test")
    entities = _entities(context.download("entities"))
    fit = entities.filter(pl.col("part") == FIT)
    if fit.is_empty():
        raise BadInputError("entities.parquet has no row of part 'fit'; run prepare again")
    folder = context.scratch / "feast"
    folder.mkdir()
    repository = Repository(folder, threads=context.cpus)
    tfidf = Tfidf.fit(_texts(train))
    context.log.info("%d terms of %d mails", len(tfidf.terms), tfidf.documents)
    history = History.fit(domains=fit["sender_domain"], times=fit["event_timestamp"], labels=fit["label"])
    sender_rows(history, entities).write_parquet(repository.source(SENDER_VIEW))
    _write_sources(context, repository, tfidf, (train, test), total=len(entities))
    repository.apply()
    paths = _write_fitted(context.scratch, tfidf, history)
    rows = {}
    for name in ("train", "test"):
        chosen = entities.filter((pl.col("part") == "test") == (name == "test"))
        paths[f"{name}_matrix"] = context.scratch / f"{name}_matrix.parquet"
        _write_matrix(context, repository, chosen, paths[f"{name}_matrix"])
        rows[f"{name}_rows"] = len(chosen)
    paths["registry"] = repository.registry
    figures = {
        **rows,
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


def _write_sources(
    context: Context,
    repository: Repository,
    tfidf: Tfidf,
    files: tuple[Path, ...],
    *,
    total: int,
) -> None:
    """Write the parquet files of the four views that are keyed by email_id."""
    views = [view for view in VIEWS if view != SENDER_VIEW]
    writers = {view: _writer(repository.source(view), VIEWS[view]) for view in views}
    done = 0
    try:
        for path in files:
            for mails in _batches(path):
                context.check_deadline()
                full = with_body(mails)
                terms = pl.DataFrame(tfidf.transform(text_of(full)), schema=list(VIEWS[_TFIDF_VIEW]))
                values = pl.concat([full.select(_SOURCE_KEYS), engineered(full), terms], how="horizontal")
                for view, writer in writers.items():
                    table = values.select(*_SOURCE_KEYS, *VIEWS[view]).to_arrow()
                    writer.write_table(table.cast(writer.schema))
                done += len(mails)
                context.progress.report("features", done=done, total=total)
    finally:
        for writer in writers.values():
            writer.close()


def _write_fitted(folder: Path, tfidf: Tfidf, history: History) -> dict[str, Path]:
    paths = {"tfidf": folder / "tfidf.json", "senders": folder / "senders.parquet"}
    tfidf.save(paths["tfidf"])
    history.save(paths["senders"])
    return paths


def _write_matrix(context: Context, repository: Repository, entities: pl.DataFrame, path: Path) -> None:
    """Write what Feast returns for `entities` to `path`, a chunk at a time."""
    writer = _matrix_writer(path)
    try:
        for at in range(0, len(entities), CHUNK):
            context.check_deadline()
            chunk = entities.slice(at, CHUNK)
            values = pl.concat([chunk, repository.matrix(chunk)], how="horizontal")
            writer.write_table(values.to_arrow().cast(writer.schema))
            done = at + len(chunk)
            context.progress.report(path.stem, done=done, total=len(entities))
    finally:
        writer.close()


_SOURCE_KEYS: Final = ("email_id", "event_timestamp")
_TIME: Final = pa.timestamp("us", tz="UTC")


def _writer(path: Path, names: tuple[str, ...]) -> pq.ParquetWriter:
    keys = [("email_id", pa.string()), ("event_timestamp", _TIME)]
    schema = pa.schema([*keys, *((name, pa.float32()) for name in names)])
    return pq.ParquetWriter(path, schema, compression="snappy", use_dictionary=False)


def _matrix_writer(path: Path) -> pq.ParquetWriter:
    kinds = {"event_timestamp": _TIME, "label": pa.int8()}
    keys = [(name, kinds.get(name, pa.string())) for name in KEYS]
    schema = pa.schema([*keys, *((name, pa.float32()) for name in FEATURES)])
    return pq.ParquetWriter(path, schema, compression="zstd")


if __name__ == "__main__":
    raise SystemExit(main("features", features))
