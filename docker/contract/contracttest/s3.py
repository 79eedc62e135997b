"""An S3 server for tests: as much of the protocol as a workload uses."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


class FakeS3(ThreadingHTTPServer):
    """Objects by "/bucket/key" with ETag, version "v1", If-Match and If-None-Match; `broken` answers 500."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.broken = False
        self.lock = threading.Lock()

    def env(self) -> dict[str, str]:
        """Return the environment that points a Store here."""
        return {
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self.server_port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
        }


class _Handler(BaseHTTPRequestHandler):
    server: FakeS3

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.server.broken:
            return self._answer(500, b"<Error><Code>InternalError</Code></Error>")
        key = unquote(urlsplit(self.path).path)
        with self.server.lock:
            if not self._may_write(self.server.objects.get(key)):
                return self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            self.server.objects[key] = content
        return self._answer(200, b"")

    def _may_write(self, there: bytes | None) -> bool:
        if self.headers.get("If-None-Match") == "*":
            return there is None
        wanted = self.headers.get("If-Match")
        return wanted is None or (there is not None and wanted == _etag(there))

    def do_HEAD(self) -> None:
        content = self.server.objects.get(unquote(urlsplit(self.path).path))
        if content is None:
            return self._answer(404, b"")
        return self._answer(200, content, etag=_etag(content))

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        content = self.server.objects.get(unquote(parts.path))
        version = parse_qs(parts.query).get("versionId", ["v1"])[0]
        if self.server.broken:
            return self._answer(500, b"<Error><Code>InternalError</Code></Error>")
        if content is None:
            return self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        if version != "v1":
            return self._answer(404, b"<Error><Code>NoSuchVersion</Code></Error>")
        etag = _etag(content)
        if self.headers.get("If-Match", etag) != etag:
            return self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        return self._answer(200, content, etag=etag)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: bytes, *, etag: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if etag:
            self.send_header("ETag", etag)
            self.send_header("Last-Modified", "Mon, 23 Nov 2026 06:00:00 GMT")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
