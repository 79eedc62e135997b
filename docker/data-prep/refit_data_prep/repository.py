"""The Feast repository of one run: five views over parquet files, joined as of each mail.

Feast joins by a condition on time for each entity and then keeps the latest row. For a
sender's domain with many mails that makes every pair of its mails a candidate. So the
sender view has a second key, the hour: each hour that is asked for opens with a row of what
was known when it began, and only the mails of that hour follow it. Candidates stay within
one domain and hour, and the newest one is still found by Feast.
"""

from __future__ import annotations

import importlib
import logging
import os
import time
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import polars as pl

from refit_contract import lean
from refit_contract.columns import FEATURES, VIEWS
from refit_contract.errors import FeatureStoreError, WorkloadError
from refit_data_prep.sender import COLUMNS, History, ratios

lean.feast()

SENDER_VIEW: Final = "sender_domain_features"
SERVICE: Final = "spam_detection"
"""The Feast feature service that lists all 524 features."""

_T = TypeVar("_T")
_PROJECT: Final = "refit"
_HOUR: Final = 3_600_000_000
_TIME: Final = "event_timestamp"
_CONFIG: Final = """\
project: {project}
provider: local
registry:
  registry_type: file
  path: {folder}/registry.db
  cache_ttl_seconds: 0
offline_store:
  type: duckdb
online_store: null
entity_key_serialization_version: 3
"""


class Repository:
    """A Feast repository in a folder of its own; nothing is written outside of it.

    `apply`, write the parquet files at `source`, then ask `matrix`. Whatever goes wrong in
    Feast is a FeatureStoreError.
    """

    def __init__(self, folder: Path, *, threads: int) -> None:
        """Use the existing, empty `folder` and at most `threads` threads for a join."""
        self._folder = folder
        self._threads = threads
        self._store: Any = None
        self.seconds = 0.0
        (folder / "feature_store.yaml").write_text(_CONFIG.format(project=_PROJECT, folder=folder), encoding="utf-8")

    @property
    def registry(self) -> Path:
        """The registry file, once applied."""
        return self._folder / "registry.db"

    def source(self, view: str) -> Path:
        """Return the path of the parquet file that the view `view` reads."""
        return self._folder / f"{view}.parquet"

    def apply(self) -> None:
        """Register entities, views and the feature service."""
        os.environ.setdefault("FEAST_USAGE", "False")

        def work() -> None:
            from feast import FeatureStore

            # Feast runs its queries on this connection. Without these, DuckDB spills into the
            # current folder, keeps extensions under the home directory and uses every CPU.
            connection = importlib.import_module("ibis").get_backend()
            connection.raw_sql(f"SET temp_directory = '{self._folder}/spill'")
            connection.raw_sql(f"SET extension_directory = '{self._folder}/extensions'")
            connection.raw_sql(f"SET threads = {self._threads}")
            logging.getLogger("feast").setLevel(logging.WARNING)
            self._store = FeatureStore(repo_path=str(self._folder))
            self._store.apply(definitions(self.source))

        _guarded("register the feature views", work)

    def matrix(self, entities: pl.DataFrame) -> pl.DataFrame:
        """Return the 524 float32 columns of FEATURES for `entities`, row for row.

        `entities` has email_id (unique), sender_domain and event_timestamp, sorted by time
        and id. Raises FeatureStoreError when Feast fails, or returns other rows or a null.
        """
        asked = entities.select("email_id", "sender_domain", _TIME, hour_of(pl.col(_TIME)))
        began = time.monotonic()
        table = _guarded("join the features", lambda: self._historical(asked))
        self.seconds += time.monotonic() - began
        found = pl.DataFrame(table).sort(_TIME, "email_id")
        if len(found) != len(asked) or not (found["email_id"] == asked["email_id"]).all():
            raise FeatureStoreError(
                f"Feast returned {len(found)} rows for {len(asked)} mails, or other mails;"
                " the offline store is damaged, run the stage again"
            )
        features = found.select(pl.col(name).cast(pl.Float32) for name in FEATURES)
        if missing := [c.name for c in features if c.null_count() or not c.is_finite().all()]:
            raise FeatureStoreError(
                f"Feast returned no value in {len(missing)} columns, the first is {missing[0]};"
                " the offline store is damaged, run the stage again"
            )
        return features

    def _historical(self, asked: pl.DataFrame) -> Any:
        service = self._store.get_feature_service(SERVICE)
        with warnings.catch_warnings():
            # ibis 12 calls what DuckDB 2 has renamed.
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"ibis\..*")
            job = self._store.get_historical_features(entity_df=asked.to_pandas(), features=service)
            return job.to_arrow()


def definitions(source: Callable[[str], Path]) -> list[Any]:
    """Return the repository's Feast objects, reading the parquet files that `source` names."""
    from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
    from feast.types import Float32, Int64, String

    email = Entity(name="email", join_keys=["email_id"], value_type=ValueType.STRING)
    domain = Entity(name="sender", join_keys=["sender_domain"], value_type=ValueType.STRING)
    hour = Entity(name="hour", join_keys=["sender_hour"], value_type=ValueType.INT64)
    sender_keys = [Field(name="sender_domain", dtype=String), Field(name="sender_hour", dtype=Int64)]
    views = [
        FeatureView(
            name=view,
            entities=[domain, hour] if view == SENDER_VIEW else [email],
            schema=[
                *(sender_keys if view == SENDER_VIEW else [Field(name="email_id", dtype=String)]),
                *(Field(name=name, dtype=Float32) for name in names),
            ],
            source=FileSource(name=view, path=str(source(view)), timestamp_field=_TIME),
            ttl=timedelta(0),
            online=False,
        )
        for view, names in VIEWS.items()
    ]
    return [email, domain, hour, *views, FeatureService(name=SERVICE, features=list(views))]


def sender_rows(history: History, entities: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the sender view that answer for `entities`.

    For each domain and hour of `entities` one row at the hour's beginning with what was
    known strictly before it, and one row a microsecond after each mail of the history in
    that hour: Feast's join includes equal times, ours must not see a mail's own moment.
    """
    asked = entities.select("sender_domain", hour_of(pl.col(_TIME))).unique(maintain_order=True)
    begins = (pl.col("sender_hour") * _HOUR).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    opening = asked.with_columns(begins.alias(_TIME))
    known = history.as_of(opening["sender_domain"], opening[_TIME])
    opening = pl.concat([opening, pl.DataFrame(known, schema=list(COLUMNS))], how="horizontal")
    later = pl.col(_TIME) + pl.duration(microseconds=1)
    states = history.states.with_columns(hour_of(pl.col(_TIME)))
    inside = pl.concat([states.drop(COLUMNS[:3]), ratios(states)], how="horizontal")
    inside = (
        inside.with_columns(later)
        # The last microsecond of an hour is in the next one's opening row already.
        .filter(hour_of(pl.col(_TIME)) == pl.col("sender_hour"))
        .join(asked, on=["sender_domain", "sender_hour"], how="semi")
    )
    return pl.concat([opening, inside.select(opening.columns)]).sort("sender_domain", "sender_hour", _TIME)


def hour_of(when: pl.Expr) -> pl.Expr:
    """Return the hours since 1970 of the time `when`, named sender_hour."""
    return (when.dt.epoch("us") // _HOUR).alias("sender_hour")


def _guarded(doing: str, work: Callable[[], _T]) -> _T:
    try:
        return work()
    except WorkloadError:
        raise
    except Exception as err:
        raise FeatureStoreError(f"Feast could not {doing}: {type(err).__name__}: {err}") from err
