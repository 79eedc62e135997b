"""Objects by URI: `s3://bucket/key` through the S3 protocol, `file:///path` without it."""

from __future__ import annotations

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from refit_contract.errors import BadInputError, InputChangedError, StoreUnavailableError
from refit_contract.spec import Artifact

_CHUNK = 1 << 20
_CHANGED = frozenset({"NoSuchKey", "NoSuchVersion", "NoSuchBucket", "PreconditionFailed", "404", "412"})


class Store:
    """Reads and writes whole objects.

    All methods raise InputChangedError when an object is missing or is not the one
    that was asked for, StoreUnavailableError when the store fails, and BadInputError
    for a URI that is neither `s3://bucket/key` nor `file:///path`.
    """

    def __init__(self, *, env: Mapping[str, str] | None = None) -> None:
        """Connect lazily, with AWS_ENDPOINT_URL_S3, AWS_MAX_ATTEMPTS and the AWS credentials in `env`.

        Ten attempts, the default, go on for about a minute.
        """
        self._s3 = _S3(env=os.environ if env is None else env)
        self._files = _Files()

    def warm(self) -> None:
        """Load what the S3 client reads from disk when it is made; no connection is opened."""
        self._s3.client()

    def read(self, uri: str) -> bytes:
        """Return the object's content; meant for small objects."""
        backend, place = self._open(uri)
        return b"".join(backend.read(place, etag="", version=""))

    def download(self, artifact: Artifact, path: Path) -> Path:
        """Stream `artifact` to `path` and return `path`.

        Reads the very version or ETag that the artifact names, and checks its size and
        digest where known.
        """
        backend, place = self._open(artifact.uri)
        digest, size = hashlib.sha256(), 0
        with path.open("wb") as file:
            for chunk in backend.read(place, etag=artifact.etag, version=artifact.version):
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
        found = f"sha256:{digest.hexdigest()}"
        if artifact.digest and artifact.digest != found:
            raise InputChangedError(
                f"{artifact.uri} has digest {found}, the spec names {artifact.digest}; "
                "start a new run with the object as it is now"
            )
        if artifact.bytes >= 0 and artifact.bytes != size:
            raise InputChangedError(
                f"{artifact.uri} has {size} bytes, the spec names {artifact.bytes}; "
                "start a new run with the object as it is now"
            )
        return path

    def upload(self, path: Path, uri: str) -> Artifact:
        """Write the file `path` to `uri` and return it with digest and size."""
        backend, place = self._open(uri)
        with path.open("rb") as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        backend.write(place, path)
        return Artifact(uri=uri, digest=digest, bytes=path.stat().st_size)

    def put(self, uri: str, content: bytes) -> Artifact:
        """Write `content` to `uri` and return it with digest and size."""
        backend, place = self._open(uri)
        backend.write(place, content)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        return Artifact(uri=uri, digest=digest, bytes=len(content))

    def put_json(self, uri: str, value: object) -> Artifact:
        """Write `value` as JSON with sorted keys.

        Raises ValueError for numbers that JSON does not have (NaN, infinity).
        """
        text = json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False, indent=1)
        return self.put(uri, text.encode() + b"\n")

    def create(self, uri: str, content: bytes) -> bool:
        """Write `content` to `uri` unless something is there; return whether it was written."""
        backend, place = self._open(uri)
        return backend.create(place, content)

    def stat(self, uri: str) -> tuple[Artifact, datetime]:
        """Return the object as it is now, pinned to its ETag and version, and when it was written."""
        backend, place = self._open(uri)
        artifact, written = backend.stat(place)
        return replace(artifact, uri=uri), written

    def read_version(self, uri: str) -> tuple[bytes, str]:
        """Return the object's content and the ETag by which `replace` knows it. Only for `s3://`."""
        place = self._open_s3(uri)
        return self._s3.read_version(place)

    def replace(self, uri: str, content: bytes, *, etag: str) -> bool:
        """Write over the version with `etag` only; return whether it was still there. Only for `s3://`."""
        place = self._open_s3(uri)
        return self._s3.put_if(place, content, IfMatch=etag)

    def _open_s3(self, uri: str) -> str:
        backend, place = self._open(uri)
        if backend is not self._s3:
            raise BadInputError(f"cannot compare and set {uri!r}: accepted is s3://bucket/key")
        return place

    def _open(self, uri: str) -> tuple[_Backend, str]:
        parts = urlsplit(uri)
        if parts.scheme == "s3" and parts.netloc and len(parts.path) > 1:
            # Keys may hold '?' and '#', which urlsplit would cut off.
            return self._s3, uri.removeprefix("s3://")
        if parts.scheme == "file" and not parts.netloc and len(parts.path) > 1:
            return self._files, unquote(parts.path)
        raise BadInputError(f"cannot open {uri!r}: accepted are s3://bucket/key and file:///path")


class _Backend(ABC):
    @abstractmethod
    def read(self, place: str, *, etag: str, version: str) -> Iterator[bytes]: ...

    @abstractmethod
    def write(self, place: str, content: bytes | Path) -> None: ...

    @abstractmethod
    def create(self, place: str, content: bytes) -> bool: ...

    @abstractmethod
    def stat(self, place: str) -> tuple[Artifact, datetime]: ...


class _Files(_Backend):
    def read(
        self,
        place: str,
        *,
        etag: str,  # noqa: ARG002 - files have neither ETag nor version; the digest tells a change
        version: str,  # noqa: ARG002
    ) -> Iterator[bytes]:
        try:
            with Path(place).open("rb") as file:
                yield from _chunks(file)
        except FileNotFoundError as err:
            raise InputChangedError(f"there is no file {place}") from err
        except OSError as err:
            raise StoreUnavailableError(f"cannot read {place}: {err}") from err

    def write(self, place: str, content: bytes | Path) -> None:
        target = Path(place)
        partial = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as out:
                if isinstance(content, bytes):
                    out.write(content)
                else:
                    with content.open("rb") as file:
                        out.writelines(_chunks(file))
            partial.replace(target)
        except OSError as err:
            raise StoreUnavailableError(f"cannot write {place}: {err}") from err

    def create(self, place: str, content: bytes) -> bool:
        try:
            Path(place).parent.mkdir(parents=True, exist_ok=True)
            with Path(place).open("xb") as out:
                out.write(content)
        except FileExistsError:
            return False
        except OSError as err:
            raise StoreUnavailableError(f"cannot write {place}: {err}") from err
        return True

    def stat(self, place: str) -> tuple[Artifact, datetime]:
        try:
            found = Path(place).stat()
        except FileNotFoundError as err:
            raise InputChangedError(f"there is no file {place}") from err
        return Artifact(uri="", bytes=found.st_size), datetime.fromtimestamp(found.st_mtime, UTC)


class _S3(_Backend):
    def __init__(self, *, env: Mapping[str, str]) -> None:
        self._env = env
        self._made: Any = None

    def read(self, place: str, *, etag: str, version: str) -> Iterator[bytes]:
        pin: dict[str, str] = {}
        if version:
            pin["VersionId"] = version
        elif etag:
            pin["IfMatch"] = etag if etag.startswith('"') else f'"{etag}"'
        bucket, _, key = place.partition("/")
        with _translated(f"read s3://{place}"):
            body = self.client().get_object(Bucket=bucket, Key=key, **pin)["Body"]
            yield from body.iter_chunks(_CHUNK)

    def write(self, place: str, content: bytes | Path) -> None:
        bucket, _, key = place.partition("/")
        with _translated(f"write s3://{place}"):
            if isinstance(content, bytes):
                self.client().put_object(Bucket=bucket, Key=key, Body=content)
            else:
                self.client().upload_file(str(content), bucket, key)

    def create(self, place: str, content: bytes) -> bool:
        return self.put_if(place, content, IfNoneMatch="*")

    def put_if(self, place: str, content: bytes, **condition: str) -> bool:
        bucket, _, key = place.partition("/")
        try:
            with _translated(f"write s3://{place}"):
                self.client().put_object(Bucket=bucket, Key=key, Body=content, **condition)
        except InputChangedError:
            return False
        return True

    def read_version(self, place: str) -> tuple[bytes, str]:
        bucket, _, key = place.partition("/")
        with _translated(f"read s3://{place}"):
            answer = self.client().get_object(Bucket=bucket, Key=key)
            return answer["Body"].read(), answer["ETag"]

    def stat(self, place: str) -> tuple[Artifact, datetime]:
        bucket, _, key = place.partition("/")
        with _translated(f"look at s3://{place}"):
            head = self.client().head_object(Bucket=bucket, Key=key)
        version = head.get("VersionId", "")
        artifact = Artifact(
            uri="",
            bytes=head["ContentLength"],
            etag=head["ETag"].strip('"'),
            version="" if version == "null" else version,
        )
        return artifact, head["LastModified"].astimezone(UTC)

    def client(self) -> Any:
        if self._made is None:
            import boto3
            from botocore.config import Config

            self._made = boto3.client(
                "s3",
                endpoint_url=self._env.get("AWS_ENDPOINT_URL_S3") or None,
                region_name=self._env.get("AWS_REGION") or "us-east-1",
                aws_access_key_id=self._env.get("AWS_ACCESS_KEY_ID") or None,
                aws_secret_access_key=self._env.get("AWS_SECRET_ACCESS_KEY") or None,
                aws_session_token=self._env.get("AWS_SESSION_TOKEN") or None,
                config=Config(
                    s3={"addressing_style": "path"},
                    retries={"mode": "standard", "total_max_attempts": int(self._env.get("AWS_MAX_ATTEMPTS") or 10)},
                    connect_timeout=5,
                    read_timeout=60,
                    # Not every S3 server knows the trailing checksums of newer SDKs.
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )
        return self._made


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    from boto3.exceptions import S3UploadFailedError
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

    try:
        yield
    except ClientError as err:
        code = str(err.response.get("Error", {}).get("Code", ""))
        if code in _CHANGED:
            raise InputChangedError(
                f"cannot {doing}: {code}; the object is gone or was overwritten, start a new run"
            ) from err
        raise StoreUnavailableError(f"cannot {doing}: {code or err}") from err
    except (BotoCoreError, HTTPClientError, S3UploadFailedError, OSError) as err:
        raise StoreUnavailableError(f"cannot {doing}: {err}") from err


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk
