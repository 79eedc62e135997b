from __future__ import annotations

import importlib.util
import io
import tarfile
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

from preptest.mails import DATASET


@pytest.fixture
def make() -> ModuleType:
    """Return datasets/make.py as a module."""
    import sys

    spec = importlib.util.spec_from_file_location("make", DATASET.parents[2] / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make"] = module
    spec.loader.exec_module(module)
    return module


def test_the_default_data_is_the_corpus() -> None:
    """6,046 mails with unique ids, 31 % spam, original headers, in 1000-row groups."""
    mails = pl.read_parquet(DATASET)

    assert mails.columns == ["email_id", "filename", "label", "raw"]
    assert (len(mails), mails["email_id"].n_unique(), (mails["label"] == "spam").sum()) == (6046, 6046, 1896)
    folders = mails["filename"].str.split("/").list.first().value_counts(sort=True)
    assert dict(folders.iter_rows()) == {
        "easy-ham-1": 2500,
        "easy-ham-2": 1400,
        "spam-2": 1396,
        "spam-1": 500,
        "hard-ham-1": 250,
    }


def test_a_package_becomes_the_same_file_every_time(make: ModuleType, tmp_path: Path) -> None:
    """Mails are taken byte for byte, ordered by name, whatever their order in the package."""
    files = {"spam-1/2.txt": b"\xffspam\r\n", "easy-ham-1/1.txt": b"ham\n", "easy-ham-1/1.json": b"{}"}
    written = []
    for order in (list(files), list(reversed(files))):
        path = tmp_path / "package.tgz"
        with tarfile.open(path, "w:gz") as tar:
            for name in order:
                member = tarfile.TarInfo(f"package/data/{name}")
                member.size = len(files[name])
                tar.addfile(member, io.BytesIO(files[name]))
        make.write(make.mails(path), tmp_path / "out" / "a.parquet")
        written.append((tmp_path / "out" / "a.parquet").read_bytes())

    assert written[0] == written[1]
    rows = pl.read_parquet(tmp_path / "out" / "a.parquet").rows()
    assert rows == [
        ("easy-ham-1/1", "easy-ham-1/1.txt", "ham", b"ham\n"),
        ("spam-1/2", "spam-1/2.txt", "spam", b"\xffspam\r\n"),
    ]


def test_another_package_is_refused(make: ModuleType, tmp_path: Path) -> None:
    """The dataset is made of the very package that is named, by its SHA-512."""
    (tmp_path / "a.tgz").write_bytes(b"another")

    with pytest.raises(SystemExit, match="SHA-512"):
        make.check(tmp_path / "a.tgz")
