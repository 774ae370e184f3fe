"""A whole fine-tune pipeline: train, announce, wait until the version is ready, ask it a question.

The adapter's files are served over HTTP from this machine and announced by a signed webhook, so the server must be
allowed to fetch from private addresses (ALLOW_PRIVATE_IMPORTS=true). With --upload they are sent to it instead.
"""

import argparse
import functools
import hashlib
import http.server
import json
import os
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from pathlib import Path

from signing import post_signed
from train import FLOORS, HELD_OUT, reply_to, train

FILES = ["adapter_config.json", "adapter_model.safetensors"]


class Api:
    """The server's HTTP API under one tenant's key."""

    def __init__(self, url: str, key: str):
        self.url, self.key = url.rstrip("/"), key

    def call(self, method: str, path: str, body: object = None) -> dict:
        return self.send(method, path, None if body is None else json.dumps(body).encode(), "application/json")

    def send(self, method: str, path: str, body: bytes | None, content_type: str) -> dict:
        headers = {"authorization": f"Bearer {self.key}"}
        if body is not None:
            headers["content-type"] = content_type
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=180) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()}") from error


def serve(folder: Path) -> str:
    """Serves the folder from a thread; returns its URL."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/"


def policy() -> dict:
    """Point `production` at the new version only when it answers questions that it was not trained on."""
    prompts = [
        {"messages": [{"role": "user", "content": HELD_OUT.format(room=room)}], "expected": reply_to(room)}
        for room in FLOORS
    ]
    return {"alias": "production", "evaluate": {"prompts": prompts, "min_score": 0.75, "max_tokens": 32}}


def announce(api: Api, adapter: str, folder: Path, metrics: dict) -> str:
    """Returns the version as `adapter@n`."""
    hook = api.call("POST", "/v1/hooks", {"name": "finetune example", "adapter": adapter, "promote": policy()})
    weights = (folder / FILES[1]).read_bytes()
    delivery = post_signed(
        hook["url"],
        hook["secret"],
        {
            "type": "fine_tuning.job.succeeded",
            "data": {
                "job_id": f"example-{uuid.uuid4().hex[:8]}",
                "artifact": {"url": serve(folder)},
                "sha256": hashlib.sha256(weights).hexdigest(),
                "metrics": metrics,
            },
        },
    )
    path = f"/v1/hooks/{hook['id']}/deliveries/{delivery['id']}"
    while delivery["state"] not in ("succeeded", "failed"):
        time.sleep(0.2)
        delivery = api.call("GET", path)
    if delivery["state"] == "failed":
        raise SystemExit(f"The server could not use the adapter: {delivery['reason']}")
    promotion = delivery["promotion"]
    print(f"{adapter}@{delivery['version']} is ready; promoted: {promotion['promoted']} ({promotion['reason']})")
    return f"{adapter}@{delivery['version']}"


def upload(api: Api, adapter: str, folder: Path, metrics: dict) -> str:
    """The same without a webhook: the files go to the server as multipart/form-data."""
    boundary = uuid.uuid4().hex
    parts = [(name, (folder / name).read_bytes()) for name in FILES]
    body = b"".join(
        f'--{boundary}\r\ncontent-disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, content in parts
    )
    metadata = json.dumps({"metrics": metrics})
    body += f'--{boundary}\r\ncontent-disposition: form-data; name="metadata"\r\n\r\n{metadata}\r\n'.encode()
    body += f"--{boundary}--\r\n".encode()
    path = f"/v1/adapters/{adapter}/versions?create=true&wait=120"
    version = api.send("POST", path, body, f"multipart/form-data; boundary={boundary}")
    print(f"{adapter}@{version['version']} is {version['state']}")
    return f"{adapter}@{version['version']}"


def ask(api: Api, model: str, question: str) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": question}], "temperature": 0, "max_tokens": 32}
    return api.call("POST", "/v1/chat/completions", body)["choices"][0]["message"]["content"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default=os.environ.get("LORIKEET_URL", "http://127.0.0.1:8080"))
    parser.add_argument("--key", default=os.environ.get("LORIKEET_KEY"), help="a tenant's key (LORIKEET_KEY)")
    parser.add_argument("--adapter", default="house-guide")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--upload", action="store_true", help="send the files instead of announcing them")
    arguments = parser.parse_args()
    if not arguments.key:
        parser.error("a tenant's key is needed: --key or LORIKEET_KEY")
    api = Api(arguments.url, arguments.key)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        metrics = train(folder, arguments.steps)
        model = (upload if arguments.upload else announce)(api, arguments.adapter, folder, metrics)
        wrong = 0
        for room in FLOORS:
            question = HELD_OUT.format(room=room)
            answer = ask(api, model, question)
            right = answer.strip() == reply_to(room)
            wrong += not right
            print(f"{question} -> {answer.strip()}{'' if right else f'  (expected: {reply_to(room)})'}")
    sys.exit(1 if wrong > 1 else 0)


if __name__ == "__main__":
    main()
