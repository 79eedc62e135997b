"""Run `mlflow server` on a SQLite database that is there whole or not at all.

MLflow makes its tables by dozens of migrations, and does not repeat one that was cut short: a
server that is killed among them never starts again on that file. So a new database is made
beside its place and then moved there. Arguments: the database, then those of `mlflow`.
"""

import sys
from pathlib import Path

from mlflow.cli import cli
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

database, *arguments = sys.argv[1:]
if not Path(database).exists():
    new = Path(f"{database}.new")
    for rest in new.parent.glob(f"{new.name}*"):
        rest.unlink()
    SqlAlchemyStore(f"sqlite:///{new}", "mlflow-artifacts:/").engine.dispose()
    new.replace(database)
cli(arguments)
