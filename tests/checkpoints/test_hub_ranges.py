"""A checkpoint on a hub, of which only ranges are fetched: the command beside a test's server."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from made_checkpoints import folder, table

from semantica_lib.checkpoints import hub
from semantica_lib.files import ROOT

COMMIT = "0123456789abcdef0123456789abcdef01234567"
W = table(1, 5_000, 64)


class Hub(BaseHTTPRequestHandler):
    """Answers as the hub does for a model's list of files, and for ranges of its files."""

    root: Path
    sent: dict[str, int]

    def do_HEAD(self) -> None:
        self._answer(200, b"")

    def do_GET(self) -> None:
        if listed := re.match(r"/api/models/own/(\w+)(/revision/\w+)?(\?.*)?$", self.path):
            name = listed[1]
            if not (self.root / name).is_dir():
                self._answer(404, b"{}", "RepoNotFound")
                return
            files = [
                {"rfilename": path.name, "size": path.stat().st_size}
                for path in (self.root / name).iterdir()
            ]
            told = {"id": f"own/{name}", "modelId": f"own/{name}", "sha": COMMIT, "tags": []}
            self._answer(200, json.dumps(told | {"siblings": files}).encode())
        elif wanted := re.match(rf"/own/(\w+)/resolve/{COMMIT}/(.+)$", self.path):
            name, file = wanted.groups()
            data = (self.root / name / file).read_bytes()
            bounds = re.match(r"bytes=(\d+)-(\d+)", self.headers["Range"] or "")
            if name == "gated":
                self._answer(403, b"{}", "GatedRepo")
            elif name == "whole" or not bounds:
                self._answer(200, data)
            else:
                part = data[int(bounds[1]) : int(bounds[2]) + 1]
                Hub.sent[name] = Hub.sent.get(name, 0) + len(part)
                self._answer(206, part)
        else:
            self._answer(404, b"{}")

    def _answer(self, status: int, data: bytes, error: str = "") -> None:
        self.send_response(status)
        if error:
            self.send_header("X-Error-Code", error)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    Hub.root, Hub.sent = tmp_path, {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def command(endpoint: str, *words: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"HF_ENDPOINT": endpoint, "NO_PROXY": "127.0.0.1", "HF_HUB_OFFLINE": "0"}
    return subprocess.run(
        [sys.executable, "-m", "semantica_lib.cli", "tables", *words],
        env=env, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_only_ranges_are_fetched(tmp_path: Path, served: str) -> None:
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    rest = {f"model.layers.{n}.mlp.weight": table(n, 2_000, 256) for n in range(3)}
    both = {"model.embed_tokens.weight": W, "lm_head.weight": W}
    for name in ("untied", "gated", "whole"):
        folder(tmp_path / name, both | rest, config | {"tie_word_embeddings": name != "untied"})
    done = command(served, "--json", "own/untied", "own/gated", "own/absent", "own/whole")
    (found,) = json.loads(done.stdout)
    assert (found["source"], found["status"]) == ("own/untied", "equal copies")
    assert 2 * W.nbytes <= Hub.sent["untied"] <= 1.2 * 2 * W.nbytes
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "own/gated: needs a licence: accept it on the model's page" in done.stderr
    assert "own/absent: neither a file or folder here nor a model on the hub" in done.stderr
    assert "own/whole: cannot be read from the hub (the server sends no ranges" in done.stderr


def test_a_hub_that_does_not_answer_is_told() -> None:
    done = command("http://127.0.0.1:9", "own/untied")
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    assert "own/untied: nothing of this name here, and no answer from" in done.stderr


@pytest.mark.parametrize("name", ["gpt2", "own/model", "own/model@main", "a.b/c-d_e@v1.0"])
def test_ids(name: str) -> None:
    assert hub.ID.fullmatch(name)
    assert not hub.ID.fullmatch(f"/{name}") and not hub.ID.fullmatch(f"{name}/x/y@")


def test_what_is_read_is_what_was_sent(tmp_path: Path, served: str) -> None:
    folder(tmp_path / "plain", {"wte.weight": W}, None)
    told = (
        "import numpy, sys; from semantica_lib.checkpoints.reading import tables; "
        "numpy.save(sys.argv[1], tables('own/plain').input.array())"
    )
    subprocess.run(
        [sys.executable, "-c", told, str(tmp_path / "read.npy")],
        env=os.environ | {"HF_ENDPOINT": served, "NO_PROXY": "127.0.0.1"}, cwd=ROOT, check=True,
    )  # fmt: skip
    assert np.array_equal(np.load(tmp_path / "read.npy"), W)
