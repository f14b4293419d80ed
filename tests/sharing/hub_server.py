"""A stand-in for the Hugging Face hub on this machine: what its client asks for to push and load.

As the hub does, it takes weights through Git LFS, and answers for what it has not with the header
`X-Error-Code`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

WRITER, READER = "hf_writer", "hf_reader"


@dataclass
class Repo:
    """Files of the one revision, by name."""

    private: bool = False
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def sha(self) -> str:
        parts = [name.encode() + data for name, data in sorted(self.files.items())]
        return hashlib.sha1(b"".join(parts)).hexdigest()


@dataclass
class Hub:
    """The stand-in's state.

    Attributes:
        url: for HF_ENDPOINT.
        repos: by OWNER/NAME.
        objects: of Git LFS, by SHA-256.
        requests: method and path of each, in order.
        cards: that were sent to be checked.
    """

    url: str
    repos: dict[str, Repo] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    cards: list[str] = field(default_factory=list)


@contextmanager
def serve():
    """A hub that answers until the end of the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.hub = Hub(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Handler(BaseHTTPRequestHandler):
    """One request; each route is a method, found by its pattern."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self):
        hub, path = self.server.hub, urlsplit(self.path).path
        hub.requests.append(f"{self.command} {path}")
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        for method, pattern, route in ROUTES:
            found = re.fullmatch(pattern, path)
            if method == self.command and found:
                return route(self, hub, *found.groups())
        return self.fail(404, "EntryNotFound")

    do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815 (the server's names)

    def send(self, data, status=200, **headers):
        if not isinstance(data, bytes):
            data = json.dumps(data).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def fail(self, status, code="", message="no"):
        self.send({"error": message}, status, X_Error_Code=code, X_Error_Message=message)

    def may_write(self):
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in (WRITER, READER):
            self.fail(401, message="Invalid credentials in Authorization header")
        elif token == READER:
            self.fail(
                403, message="You don't have the rights to create a model under this namespace"
            )
        return token == WRITER

    def create(self, hub):
        if not self.may_write():
            return
        given = json.loads(self.body)
        name = f"{given['organization'] or 'me'}/{given['name']}"
        private = given.get("visibility") == "private" or bool(given.get("private"))
        status = 409 if name in hub.repos else 200
        hub.repos.setdefault(name, Repo(private))
        self.send({"url": f"{hub.url}/{name}"}, status)

    def check_card(self, hub):
        hub.cards.append(json.loads(self.body)["content"])
        self.send({"warnings": [], "errors": []})

    def preupload(self, hub, name):
        files = [
            {
                "path": item["path"],
                "uploadMode": "lfs" if item["path"].endswith(".safetensors") else "regular",
                "shouldIgnore": False,
            }
            for item in json.loads(self.body)["files"]
        ]
        self.send({"files": files})

    def batch(self, hub, name):
        objects = json.loads(self.body)["objects"]
        for item in objects:
            item["actions"] = {"upload": {"href": f"{hub.url}/lfs/{item['oid']}", "header": {}}}
        self.send({"transfer": "basic", "objects": objects})

    def put_object(self, hub, oid):
        assert hashlib.sha256(self.body).hexdigest() == oid
        hub.objects[oid] = self.body
        self.send(b"")

    def commit(self, hub, name):
        if not self.may_write():
            return
        repo = hub.repos[name]
        for line in self.body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                repo.files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                repo.files[value["path"]] = hub.objects[value["oid"]]
        self.send({"commitUrl": f"{hub.url}/{name}/commit/{repo.sha}", "commitOid": repo.sha})

    def info(self, hub, name):
        if name not in hub.repos:
            return self.fail(404, "RepoNotFound", "Repository not found")
        repo = hub.repos[name]
        files = [{"rfilename": path} for path in repo.files]
        facts = {"id": name, "sha": repo.sha, "private": repo.private, "siblings": files}
        return self.send(facts)

    def tree(self, hub, name, revision):
        rows = [
            {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            for path, data in hub.repos[name].files.items()
        ]
        self.send(rows)

    def resolve(self, hub, name, revision, path):
        if name not in hub.repos:
            return self.fail(404, "RepoNotFound", "Repository not found")
        repo = hub.repos[name]
        if path not in repo.files:
            return self.fail(404, "EntryNotFound", "Entry not found")
        data = repo.files[path]
        tag = f'"{hashlib.sha1(data).hexdigest()}"'
        return self.send(data, ETag=tag, X_Repo_Commit=repo.sha)


_NAME = r"([\w.-]+/[\w.-]+)"
ROUTES = [
    ("POST", "/api/repos/create", Handler.create),
    ("POST", "/api/validate-yaml", Handler.check_card),
    ("POST", f"/api/models/{_NAME}/preupload/main", Handler.preupload),
    ("POST", rf"/{_NAME}\.git/info/lfs/objects/batch", Handler.batch),
    ("PUT", r"/lfs/(\w+)", Handler.put_object),
    ("POST", f"/api/models/{_NAME}/commit/main", Handler.commit),
    ("GET", f"/api/models/{_NAME}(?:/revision/.+)?", Handler.info),
    ("GET", rf"/api/models/{_NAME}/tree/(\w+)", Handler.tree),
    ("HEAD", rf"/{_NAME}/resolve/(\w+)/(.+)", Handler.resolve),
    ("GET", rf"/{_NAME}/resolve/(\w+)/(.+)", Handler.resolve),
]
