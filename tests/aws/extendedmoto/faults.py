# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failures on purpose: a share of the requests to the EBS direct API is throttled, refused, answered late, or cut off, until so many are spent.

GET /extension/faults tells how many there were of each kind; POST /extension/faults?count=1000&share=0.5&seed=7 orders new ones.
"""

import json
import random
import socket
import struct
import threading
import time
import urllib.parse
from collections import Counter

LATE = 3.0                       # seconds: longer than the client of a test waits
PATH = "/extension/faults"


class Faults:
    """WSGI middleware."""

    def __init__(self, application):
        self._application = application
        self._lock = threading.Lock()
        self._left, self._share, self._random = 0, 0.0, random.Random()
        self._spent = Counter()

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] == PATH:
            return self._order(environ, start_response)
        kind = self._next() if environ["PATH_INFO"].startswith("/snapshots") else None
        if kind in REFUSALS or kind == "reset before":
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))      # or the server takes it for the next request
        if kind in REFUSALS:
            status, code = REFUSALS[kind]
            body = json.dumps({"Message": "on purpose"}).encode("ascii")
            start_response(status, [("Content-Type", "application/json"), ("x-amzn-ErrorType", code), ("Content-Length", str(len(body)))])
            return [body]
        if kind == "reset before":
            return _reset(environ)
        if kind == "late":
            time.sleep(LATE)
        answer = self._application(environ, start_response)
        if kind == "reset after":        # it is done, but nobody is told
            list(answer)
            return _reset(environ)
        return answer

    def _next(self):
        with self._lock:
            if not self._left or self._random.random() >= self._share:
                return None
            self._left -= 1
            kind = self._random.choice(KINDS)
            self._spent[kind] += 1
            return kind

    def _order(self, environ, start_response):
        if environ["REQUEST_METHOD"] == "POST":
            wish = dict(urllib.parse.parse_qsl(environ["QUERY_STRING"]))
            with self._lock:
                self._left, self._share = int(wish["count"]), float(wish["share"])
                self._random = random.Random(wish["seed"])
                self._spent.clear()
        body = json.dumps(self._spent).encode("ascii")
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]


REFUSALS = {
    "throttled": ("400 Bad Request", "RequestThrottledException"),
    "internal error": ("500 Internal Server Error", "InternalServerException"),
    "unavailable": ("503 Service Unavailable", "ServiceUnavailable"),
}
# Lateness takes long, so there is less of it.
KINDS = [*REFUSALS, "reset before", "reset after"] * 4 + ["late"]


def _reset(environ):
    """End the connection at once (RST when it is closed), without an answer."""
    connection = environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError("on purpose")
