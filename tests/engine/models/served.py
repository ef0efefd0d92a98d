"""An OpenAI-compatible server for tests: a public, deterministic answer for each seed."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Served:
    """What the server was asked, and how many requests it should refuse before it answers."""

    def __init__(self) -> None:
        self.bodies: list[dict] = []
        self.paths: list[str] = []
        self.tokens: list[str | None] = []
        self.refuse: list[tuple[int, str]] = []
        self.lock = threading.Lock()
        self.url = ""


@contextmanager
def served() -> Iterator[Served]:
    state = Served()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with state.lock:
                state.bodies.append(body)
                state.paths.append(self.path)
                state.tokens.append(self.headers.get("authorization"))
                refusal = state.refuse.pop(0) if state.refuse else None
            status, text = refusal or (200, json.dumps(answer(self.path, body)))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(path: str, body: dict) -> dict:
    text = f"<L0>seed {body['seed']} at {body['temperature']}"
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    if path.endswith("/chat/completions"):
        return {"choices": [{"message": {"content": text}}], "usage": usage}
    return {"choices": [{"text": text}], "usage": usage}
