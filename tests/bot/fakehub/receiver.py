"""An app's webhook endpoint: keeps what it is sent, answers what it is told to."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer


@dataclass(frozen=True)
class Received:
    headers: dict[str, str]
    body: bytes


class Receiver:
    def __init__(self, server: HTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_port}/webhooks/github"
        self.status = 202
        self._received: queue.Queue[Received] = queue.Queue()

    def take(self) -> Received:
        return self._received.get(timeout=20)

    def put(self, received: Received) -> None:
        self._received.put(received)


@contextmanager
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            answer.put(
                Received({name.lower(): value for name, value in self.headers.items()}, body)
            )
            self.send_response(answer.status)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        answer = Receiver(server)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield answer
        finally:
            server.shutdown()
            thread.join()
