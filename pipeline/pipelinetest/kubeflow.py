"""A Kubeflow that answers as its API's description says, and refuses what that does not know."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from jsonschema import Draft4Validator

CONTRACT = json.loads((Path(__file__).parent / "v2beta1.swagger.json").read_text())


class FakeKubeflow(ThreadingHTTPServer):
    """Takes runs and experiments by the recorded contract; `refusal` answers everything with that status."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self.experiments: dict[str, str] = {}
        self.refusal = 0

    @property
    def url(self) -> str:
        """Return where it answers."""
        return f"http://127.0.0.1:{self.server_port}"


def problems(definition: str, value: object) -> list[str]:
    """Return what the contract's `definition` has against `value`."""
    schema = {"$ref": f"#/definitions/{definition}", "definitions": CONTRACT["definitions"]}
    return [error.message for error in Draft4Validator(schema).iter_errors(value)]


class _Handler(BaseHTTPRequestHandler):
    server: FakeKubeflow

    def do_POST(self) -> None:
        path = urlsplit(self.path).path
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._seen(path, body)
        definition = CONTRACT["paths"][path]["post"]["parameters"][0]["schema"]["$ref"].rpartition("/")[2]
        if self.server.refusal:
            return self._answer(self.server.refusal, {"code": 16, "message": "no token", "details": []})
        if found := problems(definition, body):
            return self._answer(400, {"code": 3, "message": "; ".join(found), "details": []})
        if path.endswith("/experiments"):
            self.server.experiments[body["display_name"]] = "e-1"
            return self._reply("v2beta1Experiment", {"experiment_id": "e-1", **body})
        return self._reply("v2beta1Run", {"run_id": "8f6c", "state": "PENDING", **body})

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        known = {parameter["name"] for parameter in CONTRACT["paths"][parts.path]["get"]["parameters"]}
        self._seen(parts.path, {key: value[0] for key, value in query.items()})
        if unknown := set(query) - known:
            return self._answer(400, {"code": 3, "message": f"unknown {unknown}", "details": []})
        wanted = json.loads(query["filter"][0])["predicates"][0]["stringValue"]
        found = [
            {"experiment_id": i, "display_name": name} for name, i in self.server.experiments.items() if name == wanted
        ]
        return self._reply("v2beta1ListExperimentsResponse", {"experiments": found} if found else {})

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _seen(self, path: str, value: dict[str, Any]) -> None:
        self.server.requests.append((f"{self.command} {path}", value))
        self.server.headers.append(dict(self.headers))

    def _reply(self, definition: str, value: dict[str, Any]) -> None:
        found = problems(definition, value)
        self._answer(500 if found else 200, {"message": "; ".join(found)} if found else value)

    def _answer(self, status: int, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
