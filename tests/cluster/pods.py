"""A sweep by Snakemake's Kubernetes executor, on a stand-in for a cluster's interface.

No cluster is at hand here: what answers is a server on this machine that knows as much of the
interface as the executor asks for, and runs each pod's command as a process in a folder of its
own. So it is shown that the Snakefile, the storage of its marks and the jobs' commands work as
pods would run them, and end as the same jobs here do; of images, volumes and scheduling it shows
nothing.

    .venv/bin/python tests/cluster/pods.py [FOLDER]

Needs `make env`, rsync and a package index, from which a pod's command installs the storage plugin;
what it made lies in FOLDER (/tmp/semantica-pods), which must not exist.
"""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import compare

BIN = Path(sys.executable).parent
SWEEP = Path(__file__).with_name("sweep.yaml")
SHORT = ["--set", "steps=2_000", "--set", "seeds=[1, 2]", "--set", "record_every=1_000"]
CONFIG = """\
apiVersion: v1
kind: Config
clusters: [{{name: here, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
contexts: [{{name: here, context: {{cluster: here, user: anyone}}}}]
current-context: here
users: [{{name: anyone, user: {{token: none}}}}]
"""


class Cluster(BaseHTTPRequestHandler):
    """Pods are processes; jobs are told to run, to have succeeded or to have failed."""

    place: Path
    pods: dict[str, subprocess.Popen] = {}  # noqa: RUF012

    def do_POST(self) -> None:
        asked = self.body()
        if self.path.endswith("/jobs"):
            name = asked["metadata"]["name"]
            (container,) = asked["spec"]["template"]["spec"]["containers"]
            folder = self.place / "pods" / name
            folder.mkdir(parents=True)
            (folder / "job.json").write_text(json.dumps(asked, indent=1))
            with (folder / "log").open("w") as log:
                self.pods[name] = subprocess.Popen(
                    [*container["command"], *container["args"]], cwd=folder, stdout=log, stderr=log,
                    env=os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
                )  # fmt: skip
        self.answer(asked)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].split("/")
        if path[-1] == "status":
            code = self.pods[path[-2]].poll()
            status = {"active" if code is None else "failed" if code else "succeeded": 1}
            self.answer({"metadata": {"name": path[-2]}, "status": status})
        else:
            self.answer({"items": []})

    def do_DELETE(self) -> None:
        self.body()
        self.answer({"status": "Success"})

    def body(self) -> dict[str, Any]:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")

    def answer(self, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def main(place: Path) -> None:
    """Run the sweep on the stand-in and here, and compare."""
    place.mkdir(parents=True)
    Cluster.place = place
    server = ThreadingHTTPServer(("127.0.0.1", 0), Cluster)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (place / "kubeconfig").write_text(CONFIG.format(port=server.server_port))
    pods = ["--executor", "kubernetes", "--jobs", "2", "--container-image", "none/needed"]
    pods += ["--kubernetes-persistent-volumes", "shared:/shared"]
    pods += ["--default-storage-provider", "fs", "--default-storage-prefix", str(place / "stored")]
    pods += ["--seconds-between-status-checks", "2"]
    try:
        for name, how in (("cluster", pods), ("local", ["--cores", "2"])):
            folder = place / name
            folder.mkdir()
            places = {"SEMANTICA_RESULTS": str(folder), "KUBECONFIG": str(place / "kubeconfig")}
            made = [BIN / "semantica", "workflow", SWEEP, "--jobs", "4", *SHORT]
            environment = os.environ | places
            text = subprocess.run(made, check=True, env=environment, stdout=subprocess.PIPE).stdout
            (folder / "Snakefile").write_bytes(text)
            marks = ["--config", "marks=marks"] if name == "cluster" else []
            with (folder / "log").open("w") as log:
                subprocess.run(
                    [BIN / "snakemake", *how, *marks], check=True, env=environment, cwd=folder,
                    stdout=log, stderr=log,
                )  # fmt: skip
    finally:
        for pod in Cluster.pods.values():
            pod.kill()
        server.shutdown()
    compare.main(place / "cluster", place / "local")
    print(f"as asked: {len(Cluster.pods)} pods, equal bit for bit to the same jobs run here")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "/tmp/semantica-pods"))
