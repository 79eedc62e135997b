from __future__ import annotations

import hashlib
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from preptest.mails import START, message, odd, sentence, uploaded
from preptest.stages import Attempt, run_stage
from refit_data_prep.prepare import prepare
from refit_data_prep.sink import ENTITIES, MAILS, RAW


def prepared_from(path: Path, folder: Path, **parameters: Any) -> Attempt:
    """Run prepare on a file."""
    return run_stage("prepare", prepare, folder, {"entity_data": path}, **parameters)


def parts_of(attempt: Attempt) -> dict[str, str]:
    """Return the part of each mail by its content hash."""
    mails = pl.concat([attempt.table("train"), attempt.table("test")])
    return dict(zip(mails["text_hash"], mails["part"], strict=True))


def test_the_artifacts_have_the_columns_of_the_contract(prepared: Attempt) -> None:
    """Four parquet files and the report, typed as later stages expect, with unique ids."""
    assert set(prepared.result["artifacts"]) == {"train", "test", "entities", "test_raw", "report"}
    for name, schema in {"train": MAILS, "test": MAILS, "entities": ENTITIES, "test_raw": RAW}.items():
        assert pl.read_parquet_schema(prepared.folder / f"{name}.parquet") == pl.Schema(schema)
    entities = prepared.table("entities")
    assert entities["email_id"].n_unique() == len(entities)
    assert set(prepared.table("test_raw")["email_id"]) == set(prepared.table("test")["email_id"])
    assert set(prepared.table("train")["part"]) == {"fit", "validation"}


def test_the_figures_add_up(prepared: Attempt) -> None:
    """Every uploaded row is kept or dropped for a reason; the parts are what is kept."""
    figures = prepared.result["figures"]

    assert figures["rows"] == 600
    assert figures["rows"] - figures["dropped"] == figures["kept"] == len(prepared.table("entities"))
    assert figures["train_rows"] + figures["test_rows"] == figures["kept"]
    assert sum(figures["drops"].values()) == figures["dropped"]
    assert figures["spam_train"] == prepared.table("train")["label"].sum()
    assert prepared.json("report")["figures"] == figures


def test_the_same_input_gives_the_same_bytes(real: Path, prepared: Attempt, tmp_path: Path) -> None:
    """With one seed every artifact is byte-identical over two runs; with another the split differs."""
    again = prepared_from(real, tmp_path / "again")
    other = prepared_from(real, tmp_path / "other", seed=43)

    digests = [{n: a["digest"] for n, a in r.result["artifacts"].items()} for r in (prepared, again, other)]
    assert digests[0] == digests[1]
    assert digests[0]["train"] != digests[2]["train"]


def test_no_content_is_on_two_sides(prepared: Attempt) -> None:
    """No group of near-identical mail, and no content, is in two of fit, validation and test."""
    mails = pl.concat([prepared.table("train"), prepared.table("test")])

    assert mails["text_hash"].n_unique() == len(mails)
    assert mails.group_by("group").agg(pl.col("part").n_unique())["part"].max() == 1


def test_mail_stays_on_its_side_in_later_data(tmp_path: Path) -> None:
    """Adding mail, and near copies of old mail, moves no mail to another part."""
    mails = [message(i) for i in range(300)]
    later = [message(900 + i, body=sentence(i) + " once more") for i in range(60)] + [
        message(i) for i in range(300, 400)
    ]
    first = prepared_from(uploaded(tmp_path / "a", mails), tmp_path / "first")
    second = prepared_from(uploaded(tmp_path / "b", later + mails), tmp_path / "second")

    before, after = parts_of(first), parts_of(second)

    assert {name: after[name] for name in before} == before


def test_odd_rows_are_dropped_counted_and_listed(tmp_path: Path) -> None:
    """Undated, unlabelled, empty and duplicate rows leave the rest as it is; the oldest copy stays."""
    mails = [message(i) for i in range(200)]
    odd = [
        message(1000, date="nonsense"),
        message(1001, date=datetime(2030, 1, 1, tzinfo=UTC)),
        message(1002),
        b"From: a@b.org\nDate: Sat, 01 Jun 2002 00:00:00 +0000\n\n\n",
        message(7, date=START - timedelta(days=1)),
    ]
    labels = [i % 2 for i in range(200)] + [1, 1, None, 1, 1]
    ids = [f"id{i}" for i in range(205)]
    attempt = prepared_from(uploaded(tmp_path / "a", mails + odd, labels=labels, email_id=ids), tmp_path / "out")

    assert attempt.result["figures"]["drops"] == {"undated": 2, "unlabelled": 1, "empty": 1, "duplicate": 1}
    dropped = attempt.json("report")["dropped"]
    assert dropped["undated"] == [{"email_id": "id200", "row": 200}, {"email_id": "id201", "row": 201}]
    assert dropped["duplicate"] == [{"email_id": "id7", "row": 7}]
    assert "id204" in attempt.table("entities")["email_id"].to_list()


@pytest.mark.parametrize("layout", ["raw", "text"])
def test_cpythons_odd_messages_go_through_whole(tmp_path: Path, layout: str) -> None:
    """Messages that broke parsers, pictures and sounds: each is kept, or dropped for a reason and listed."""
    messages = odd()
    ids = [*messages, *(f"good{i}" for i in range(200))]
    raw = [*messages.values(), *(message(i) for i in range(200))]
    column: Any = raw if layout == "raw" else [m.decode("utf-8", "replace") for m in raw]
    labels = ["spam" if i % 2 else "ham" for i in range(len(ids))]
    pl.DataFrame({layout: column, "label": labels, "email_id": ids}).write_parquet(tmp_path / "a")

    attempt = prepared_from(tmp_path / "a", tmp_path / "out")

    figures = attempt.result["figures"]
    listed = {e["email_id"]: reason for reason, rows in attempt.json("report")["dropped"].items() for e in rows}
    kept = set(attempt.table("entities")["email_id"])
    assert len(messages) > 60
    assert figures["rows"] == len(ids) == figures["kept"] + figures["dropped"]
    assert kept | set(listed) == set(ids)
    assert not kept & set(listed)
    assert listed["python.png"] == "undated"
    assert "msg_01.txt" in kept
    assert {f"good{i}" for i in range(200)} <= kept


LINES = ("word " * 20 + "\n") * 210_000
ODD_ROWS = {
    "a mail of 20 MB": message(900, body=LINES),
    "a page of 20 MB": message(901, body="x").replace(b"\n\n", b"\nContent-Type: text/html\n\n")
    + b"<p>a</p>" * 2_500_000,
    "a charset that nobody knows": b"Content-Type: text/plain; charset=x\n"
    + message(902, body="caf+").replace(b"+", b"\xe9"),
    "NUL bytes": message(903, body="a\x00b\x00c d e f"),
}


def test_odd_mail_is_kept_as_it_is(tmp_path: Path) -> None:
    """Mail of 20 MB, of unknown charsets and with NUL bytes is kept; null bodies are dropped and listed."""
    raw = [*(message(i) for i in range(200)), *ODD_ROWS.values(), None, None]
    ids = [*(f"good{i}" for i in range(200)), *ODD_ROWS, "null", "null"]
    columns = {"raw": raw, "email_id": ids, "label": [i % 2 for i in range(206)]}
    pl.DataFrame(columns).write_parquet(tmp_path / "a")

    attempt = prepared_from(tmp_path / "a", tmp_path / "out")

    assert attempt.result["figures"]["drops"] == {"empty": 2}
    assert attempt.json("report")["dropped"]["empty"] == [{"email_id": "null", "row": r} for r in (204, 205)]
    entities = attempt.table("entities")
    assert set(ODD_ROWS) <= set(entities["email_id"])
    mails = pl.concat([attempt.table("train"), attempt.table("test")])
    assert mails.filter(pl.col("email_id") == "NUL bytes")["body_text"].to_list() == ["a\x00b\x00c d e f\n"]
    assert mails.filter(pl.col("email_id") == "a mail of 20 MB")["body_text"].str.len_bytes().to_list() == [
        len(LINES) + 1
    ]


def test_dates_beyond_the_calendar_drop_their_rows_alone(tmp_path: Path) -> None:
    """The years 0 and 9999, in a header or in a column, leave a row undated: dropped, counted and listed."""
    years = ["Mon, 01 Jan 0000 00:00:00 +0000", "Fri, 31 Dec 9999 23:59:59 +0000", "Fri, 31 Dec 9999 23:59:59 -2359"]
    mails = [message(i) for i in range(200)] + [message(900 + i, date=d) for i, d in enumerate(years)]
    texts = ["0000-01-01", "9999-12-31T23:59:59", "9999-12-31T23:59:59-23:59"]
    columns = {
        "body_text": [sentence(i) for i in range(203)],
        "date": ["2002-06-01"] * 200 + texts,
        "label": [i % 2 for i in range(203)],
    }
    pl.DataFrame(columns).write_parquet(tmp_path / "b")

    for path in (uploaded(tmp_path / "a", mails), tmp_path / "b"):
        attempt = prepared_from(path, tmp_path / f"out-{path.name}")

        assert attempt.result["figures"]["drops"] == {"undated": 3}
        assert [e["row"] for e in attempt.json("report")["dropped"]["undated"]] == [200, 201, 202]


def test_ids_are_made_unique(tmp_path: Path) -> None:
    """The same id for different mails would multiply rows in a join: later ones are renamed and counted."""
    ids = [f"id{i // 2}" for i in range(200)]
    attempt = prepared_from(uploaded(tmp_path / "a", [message(i) for i in range(200)], email_id=ids), tmp_path / "out")

    found = attempt.table("entities")["email_id"]
    assert found.n_unique() == 200
    assert {"id0", "id0~2"} <= set(found)
    assert attempt.json("report")["renamed_ids"] == 100


def test_without_ids_the_content_names_a_mail(tmp_path: Path) -> None:
    """An upload without email_id still has unique ids, the same in every later version of the data."""
    attempt = prepared_from(uploaded(tmp_path / "a", [message(i) for i in range(200)]), tmp_path / "out")

    mails = attempt.table("train")
    assert (mails["email_id"] == mails["text_hash"]).all()


def test_received_is_believed_over_a_distant_date(tmp_path: Path) -> None:
    """A Date years away from the last hop is replaced by the hop's time, and that is counted."""
    seen = datetime(2002, 7, 1, tzinfo=UTC)
    mails = [message(i) for i in range(200)] + [message(1000, date=seen.replace(year=2020), received=seen)]
    attempt = prepared_from(uploaded(tmp_path / "a", mails, email_id=[str(i) for i in range(201)]), tmp_path / "out")

    found = attempt.table("entities").filter(pl.col("email_id") == "200")
    assert found["event_timestamp"].to_list() == [seen]
    assert attempt.json("report")["event_times"] == {
        "date": 200,
        "received_instead_of_date": 1,
        "landing_time_used": False,
    }


def test_the_verdict_of_another_filter_is_never_used(tmp_path: Path) -> None:
    """Columns x_spam_* change nothing, not even when they hold the label."""
    columns = {
        "body_text": [sentence(i) for i in range(200)],
        "label": [i % 2 for i in range(200)],
        "date": [START + timedelta(hours=i) for i in range(200)],
    }
    pl.DataFrame(columns).write_parquet(tmp_path / "a")
    pl.DataFrame({**columns, "x_spam_score": columns["label"]}).write_parquet(tmp_path / "b")

    digests = []
    for name in ("a", "b"):
        attempt = prepared_from(tmp_path / name, tmp_path / f"out-{name}")
        digests.append([attempt.result["artifacts"][n]["digest"] for n in ("train", "test", "entities")])
        assert "test_raw" not in attempt.result["artifacts"]

    assert digests[0] == digests[1]


def test_text_without_any_time_takes_the_landing_time(tmp_path: Path) -> None:
    """A file of text and labels knows no time: all of it is as old as its landing, and the report says so."""
    path = tmp_path / "a"
    pl.DataFrame({"text": [sentence(i) for i in range(200)], "label": ["ham", "spam"] * 100}).write_parquet(path)

    attempt = prepared_from(path, tmp_path / "out")

    landed = datetime(2026, 11, 23, 5, 59, 58, tzinfo=UTC)
    assert attempt.table("entities")["event_timestamp"].unique().to_list() == [landed]
    assert attempt.json("report")["event_times"]["landing_time_used"] is True
    refused = prepared_from(path, tmp_path / "time", split="time")
    assert "BadInput" in refused.message()
    assert "split 'time' cannot order it" in refused.message()


def test_the_time_split_trains_on_the_past(tmp_path: Path) -> None:
    """Fit, validation and test follow each other; near copies of train mail are dropped from test."""
    mails = [message(i) for i in range(200)] + [message(200, body=sentence(3) + " again")]
    attempt = prepared_from(uploaded(tmp_path / "a", mails), tmp_path / "out", split="time")

    entities = attempt.table("entities").sort("event_timestamp")
    assert entities["part"].to_list() == ["fit"] * 129 + ["validation"] * 32 + ["test"] * 39
    assert attempt.result["figures"]["drops"] == {"near_copy_of_train": 1}


@pytest.mark.parametrize(
    ("mails", "labels", "message_part"),
    [
        (20, [0] * 19 + [1], r"part of .* would have 0 spam and \d+ ham; each part needs both"),
        (4, [0, 1, 0, 1], r"each part needs both: upload more mail of the missing kind, or change test_split_ratio"),
        (4, [0, 1, None, 1], r"; 3 rows stay, dropped are 1 unlabelled$"),
    ],
)
def test_a_part_without_both_classes_is_refused(
    tmp_path: Path, mails: int, labels: list[int], message_part: str
) -> None:
    """Nothing can be learned from, chosen on or judged by one class; the message says what to change."""
    path = uploaded(tmp_path / "a", [message(i) for i in range(mails)], labels=labels)

    attempt = prepared_from(path, tmp_path / "out")

    assert attempt.result["artifacts"] == {}
    with pytest.raises(AssertionError, match=message_part):
        raise AssertionError(attempt.message())


def test_only_unusable_rows_are_refused(tmp_path: Path) -> None:
    """When no row is left the message says why each went."""
    mails = [message(i, date=datetime(1985, 1, 1, tzinfo=UTC)) for i in range(10)]

    refused = prepared_from(uploaded(tmp_path / "a", mails), tmp_path / "out").message()

    assert refused.startswith("BadInput: ")
    assert "no usable row: 10 undated; a row needs a subject or a body, a label, and a date from 1990-01-01" in refused
    assert refused.endswith("to its landing, 2026-11-23 05:59: correct the rows and upload the file again")


def test_an_upload_that_was_overwritten_is_refused(tmp_path: Path) -> None:
    """A run trains on exactly the object that landed: other content ends the attempt."""
    path = uploaded(tmp_path / "a", [message(i) for i in range(10)])
    digest = "sha256:" + hashlib.sha256(b"what landed").hexdigest()

    attempt = run_stage(
        "prepare", prepare, tmp_path / "out", {"entity_data": {"uri": f"file://{path}", "digest": digest}}
    )

    assert attempt.message().startswith("InputChanged: ")


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Six times the mail, in one row group, costs a process less than half of the memory that the added mail takes."""
    code = (
        "import sys; from pathlib import Path; from preptest.stages import run_stage;"
        "from refit_data_prep.prepare import prepare; folder = Path(sys.argv[1]);"
        "run_stage('prepare', prepare, folder / 'out', {'entity_data': folder / 'mail'});"
        # Unlike ru_maxrss this does not start with what the parent process had.
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    root = Path(__file__).parents[2]
    peaks = []
    sizes = []
    for count in (800, 4800):
        folder = tmp_path / str(count)
        folder.mkdir()
        mails = [message(i, body=sentence(i, words=200).replace(" ", "x" * 150 + " ")) for i in range(count)]
        sizes.append(sum(map(len, mails)) / 2**20)
        uploaded(folder / "mail", mails)
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder)],
            capture_output=True,
            text=True,
            check=True,
            env={
                "PYTHONPATH": f"{root}/contract:{root}/data-prep",
                "REFIT_CPUS": "2",
                # What allocators keep for later differs by 40 MiB between equal runs; these keep little.
                "ARROW_DEFAULT_MEMORY_POOL": "system",
                "MALLOC_ARENA_MAX": "1",
            },
        )
        peaks.append(int(done.stdout.split()[-1]) / 1024)

    added = sizes[1] - sizes[0]
    assert added > 100
    assert peaks[1] - peaks[0] < added / 2, peaks
