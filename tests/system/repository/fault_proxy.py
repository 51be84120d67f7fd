# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An HTTP proxy that stands before a server and does what networks and overloaded servers do.

    python3 fault_proxy.py HOST PORT [LATENCY_SECONDS]     serves on a free port, which it prints, until it is killed

Requests are forwarded as they are, Host header included, so signatures stay valid.
"""

import http.client
import http.server
import random
import socket
import struct
import sys
import threading
import time

RESET_BEFORE = "reset before the effect"
RESET_AFTER = "reset after the effect"
ERROR_500 = "HTTP 500"
ERROR_AFTER = "HTTP 500 after the effect"
SLOW_DOWN = "HTTP 503 SlowDown"
STALL = "no answer"
TRUNCATE = "answer cut short"
CUT_REQUEST = "request cut short"
TWICE = "request sent twice"
FAULTS = (RESET_BEFORE, RESET_AFTER, ERROR_500, ERROR_AFTER, SLOW_DOWN, STALL, TRUNCATE, CUT_REQUEST, TWICE)

_SLOW_DOWN_BODY = b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>'
_NOT_FORWARDED = {"connection", "keep-alive", "transfer-encoding"}


class Faults:
    """Which requests go wrong, and how: of every `of` requests that `wanted` (method, path) names about one, as the seed has it.

    The same request is hit at most `in_a_row` times one after the other, so that patience always wins. `done` counts what was done.
    """

    def __init__(self, kinds=FAULTS, of=5, seed=1, in_a_row=3, wanted=lambda method, path: True):
        self._kinds = kinds
        self._of = of
        self._rng = random.Random(seed)
        self._in_a_row = in_a_row
        self._wanted = wanted
        self._hits = {}
        self._lock = threading.Lock()
        self.done = {}

    def choose(self, method, path):
        with self._lock:
            hits = self._hits.get((method, path), 0)
            if not self._wanted(method, path) or self._rng.randrange(self._of) or hits >= self._in_a_row:
                self._hits[method, path] = 0
                return None
            self._hits[method, path] = hits + 1
            kind = self._rng.choice(self._kinds)
            self.done[kind] = self.done.get(kind, 0) + 1
            return kind


class FaultProxy:
    """Serves in threads from its making to `close`.

    May be set at any time: `faults` (Faults or None), `latency` (seconds a request), `refuse` (headers -> HTTP status of a refusal, or 0),
    `keep` (the share of its body that an answer that is cut short keeps).
    """

    def __init__(self, host, port, faults=None, latency=0.0, refuse=lambda headers: 0):
        self.upstream = (host, port)
        self.faults = faults
        self.latency = latency
        self.refuse = refuse
        self.keep = 0.5
        self.requests = []               # (method, path) of all that arrived
        self.closed = threading.Event()
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.closed.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """A client that went away is no news here."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy = None
    upstream = None

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def finish(self):
        super().finish()
        if self.upstream is not None:
            self.upstream.close()

    def log_message(self, *_arguments):
        pass

    def _serve(self):
        proxy = self.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        proxy.requests.append((self.command, self.path))
        fault = proxy.faults.choose(self.command, self.path) if proxy.faults else None
        if proxy.latency:
            time.sleep(proxy.latency)
        refusal = proxy.refuse(self.headers)
        if refusal:
            self._answer(refusal, b"")
        elif fault == RESET_BEFORE:
            self._reset()
        elif fault in (ERROR_500, SLOW_DOWN):
            self._answer(*((503, _SLOW_DOWN_BODY) if fault == SLOW_DOWN else (500, b"")))
        elif fault == CUT_REQUEST:
            self._cut_request(body)
            self._reset()
        else:
            status, headers, answer = self._forward(body)
            if fault == TWICE:
                status, headers, answer = self._forward(body)
            if fault == RESET_AFTER:
                self._reset()
            elif fault == ERROR_AFTER:
                self._answer(500, b"")
            elif fault == STALL:
                proxy.closed.wait(60)
                self._reset()
            elif fault == TRUNCATE:
                self._send(status, headers, answer[:int(len(answer) * proxy.keep)])
                self._reset()
            else:
                self._send(status, headers, answer)

    do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = _serve

    def _forward(self, body):
        """(status, headers, body) of the server's answer."""
        for fresh in (False, True):
            if self.upstream is None or fresh:
                self.upstream = http.client.HTTPConnection(*self.proxy.upstream, timeout=60)
            try:
                self.upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() not in _NOT_FORWARDED | {"expect"}:
                        self.upstream.putheader(name, value)
                self.upstream.endheaders(body or None)
                answer = self.upstream.getresponse()
                return answer.status, answer.getheaders(), answer.read()
            except (http.client.HTTPException, OSError):      # a connection that the server has closed meanwhile
                self.upstream.close()
                if fresh:
                    raise
        raise AssertionError

    def _cut_request(self, body):
        """The server sees half of the body, then the end of the connection."""
        head = f"{self.command} {self.path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        with socket.create_connection(self.proxy.upstream) as connection:
            connection.sendall(head.encode("latin-1") + b"\r\n" + body[:len(body) // 2])

    def _send(self, status, headers, body):
        lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, '')}"]
        lines += [f"{name}: {value}" for name, value in headers if name.lower() not in _NOT_FORWARDED]
        if not any(name.lower() == "content-length" for name, _value in headers) and status != 204:
            lines.append(f"Content-Length: {len(body)}")
        self.wfile.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    def _answer(self, status, body):
        headers = [("Content-Length", str(len(body))), ("Content-Type", "application/xml")]
        self._send(status, headers, b"" if self.command == "HEAD" else body)

    def _reset(self):
        """Close the connection with a reset instead of an orderly end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True


def main():
    proxy = FaultProxy(sys.argv[1], int(sys.argv[2]), latency=float(sys.argv[3]) if len(sys.argv) > 3 else 0.0)
    print(proxy.port, flush=True)
    proxy.closed.wait()


if __name__ == "__main__":
    main()
