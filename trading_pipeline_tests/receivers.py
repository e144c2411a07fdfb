"""Loopback servers that keep what they are told: a web server, and a mail server."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """Slack, PagerDuty and any webhook at once: keeps what is posted, by path, and by whom."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, Any]] = []
        self.answer, self.said = 202, b""
        self.words: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:  # noqa: N805
                body = handler.rfile.read(int(handler.headers["Content-Length"]))
                self.posted.append((handler.path, json.loads(body)))
                self.words.append(handler.headers.get("Authorization", ""))
                handler.send_response(self.answer)
                handler.send_header("Content-Type", "application/json")
                handler.end_headers()
                handler.wfile.write(self.said)

            def log_message(handler, *_: object) -> None:  # noqa: N805
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def bodies(self, path: str) -> list[Any]:
        """What was posted to a path, oldest first."""
        return [body for where, body in self.posted if where == path]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that listens until the block ends."""
    made = Receiver()
    with _serving(made.server):
        yield made


@contextmanager
def mail_server(refuse: str = "") -> Iterator[tuple[int, list[str]]]:
    """A mail server without encryption: its port, and the messages it took.

    It answers the command that begins with `refuse` with an error.
    """
    messages: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(handler) -> None:  # noqa: N805
            handler.say("220 here")
            while line := handler.rfile.readline().decode().strip():
                if refuse and line.upper().startswith(refuse):
                    handler.say("550 no")
                elif line.upper() == "DATA":
                    handler.say("354 go on")
                    lines = iter(lambda: handler.rfile.readline().decode().rstrip("\r\n"), ".")
                    messages.append("\n".join(lines))
                    handler.say("250 taken")
                elif line.upper() == "QUIT":
                    handler.say("221 bye")
                    return
                else:
                    handler.say("250 ok")

        def say(handler, line: str) -> None:  # noqa: N805
            handler.wfile.write(f"{line}\r\n".encode())

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    with _serving(server):
        yield server.server_address[1], messages


@contextmanager
def _serving(server: socketserver.TCPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
