from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from contracttest.s3 import FakeS3
from refit_contract.errors import BadInputError, InputChangedError, StoreUnavailableError
from refit_contract.spec import Artifact
from refit_contract.store import Store


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, s3: FakeS3) -> tuple[Store, str]:
    """Return a store and a prefix to write under, for both kinds of URI."""
    store = Store(env=s3.env())
    return store, f"file://{tmp_path}/out/" if request.param == "file" else "s3://refit/runs/r 1?/"


def test_what_is_uploaded_is_read_again(place: tuple[Store, str], tmp_path: Path) -> None:
    """An uploaded file has the digest and size of its content and downloads as it was."""
    store, prefix = place
    source = tmp_path / "source"
    source.write_bytes(b"mail" * 1000)

    artifact = store.upload(source, prefix + "a.bin")

    assert artifact.digest == "sha256:" + hashlib.sha256(source.read_bytes()).hexdigest()
    assert artifact.bytes == 4000
    assert store.download(artifact, tmp_path / "copy").read_bytes() == source.read_bytes()


def test_json_is_written_with_sorted_keys(place: tuple[Store, str]) -> None:
    """Equal values give equal bytes; a number that JSON lacks is refused."""
    store, prefix = place

    first = store.put_json(prefix + "a", {"b": 1, "a": "ü"})
    second = store.put_json(prefix + "b", {"a": "ü", "b": 1})

    assert first.digest == second.digest
    assert store.read(prefix + "a").decode() == '{\n "a": "ü",\n "b": 1\n}\n'
    with pytest.raises(ValueError, match="Out of range"):
        store.put_json(prefix + "c", float("inf"))


def test_a_missing_object_is_a_changed_input(place: tuple[Store, str], tmp_path: Path) -> None:
    """An input that is gone ends the attempt with InputChanged."""
    store, prefix = place

    with pytest.raises(InputChangedError):
        store.download(Artifact(uri=prefix + "gone"), tmp_path / "copy")


@pytest.mark.parametrize("changed", [{"digest": "sha256:" + "0" * 64}, {"bytes": 5}], ids=["digest", "size"])
def test_other_content_is_a_changed_input(place: tuple[Store, str], tmp_path: Path, changed: dict[str, object]) -> None:
    """Content that is not what the spec names is refused, whatever the store says."""
    store, prefix = place
    store.put(prefix + "a", b"mail")

    with pytest.raises(InputChangedError, match="the spec names"):
        store.download(Artifact(uri=prefix + "a", **changed), tmp_path / "copy")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pin", "accepted"),
    [
        ({"etag": hashlib.md5(b"mail").hexdigest()}, True),
        ({"etag": f'"{hashlib.md5(b"mail").hexdigest()}"'}, True),
        ({"etag": "0" * 32}, False),
        ({"version": "v1"}, True),
        ({"version": "v2"}, False),
    ],
)
def test_an_object_is_read_by_etag_or_version(s3: FakeS3, tmp_path: Path, pin: dict[str, str], accepted: bool) -> None:
    """An object that was overwritten since it landed is never read instead."""
    store = Store(env=s3.env())
    s3.objects["/landing/mail"] = b"mail"
    artifact = Artifact(uri="s3://landing/mail", **pin)  # type: ignore[arg-type]

    if accepted:
        assert store.download(artifact, tmp_path / "copy").read_bytes() == b"mail"
    else:
        with pytest.raises(InputChangedError, match="s3://landing/mail"):
            store.download(artifact, tmp_path / "copy")


def test_a_store_that_does_not_answer_is_unavailable(s3: FakeS3) -> None:
    """A refused connection is StoreUnavailable: another attempt may do better."""
    closed = {**s3.env(), "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"}

    with pytest.raises(StoreUnavailableError, match="read s3://refit/a"):
        Store(env=closed).read("s3://refit/a")


def test_a_file_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    """A folder that is a file cannot be written into, and says so."""
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreUnavailableError, match="cannot write"):
        Store(env={}).put(f"file://{tmp_path}/file/a", b"")


@pytest.mark.parametrize("uri", ["http://host/a", "s3://bucket", "s3:///key", "file://host/a", "a", ""])
def test_other_uris_are_refused(uri: str) -> None:
    """Only s3 with bucket and key and file with an absolute path are accepted."""
    with pytest.raises(BadInputError, match="accepted are s3"):
        Store(env={}).read(uri)


def test_an_object_is_created_once(place: tuple[Store, str]) -> None:
    """The first writer's content stays, and the second one is told."""
    store, prefix = place

    assert [store.create(prefix + "a", b"first"), store.create(prefix + "a", b"second")] == [True, False]
    assert store.read(prefix + "a") == b"first"


def test_an_object_is_described_as_it_is(place: tuple[Store, str]) -> None:
    """The description has the size and, in an object store, what pins the content."""
    store, prefix = place
    store.put(prefix + "a", b"mail")

    artifact, written = store.stat(prefix + "a")

    assert (artifact.uri, artifact.bytes, artifact.digest) == (prefix + "a", 4, "")
    assert bool(artifact.etag) == prefix.startswith("s3")
    assert written.utcoffset() is not None
    with pytest.raises(InputChangedError):
        store.stat(prefix + "gone")


def test_only_the_version_that_was_read_is_replaced(s3: FakeS3) -> None:
    """Whoever is slower finds its version gone and changes nothing."""
    store = Store(env=s3.env())
    store.put("s3://refit/a", b"first")
    _, etag = store.read_version("s3://refit/a")

    assert store.replace("s3://refit/a", b"second", etag=etag)
    assert not store.replace("s3://refit/a", b"third", etag=etag)
    assert store.read("s3://refit/a") == b"second"
