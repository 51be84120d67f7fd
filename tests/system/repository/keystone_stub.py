# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""As much of Keystone's API version 3 as signing in takes. Its tokens and its object store are those of a radosgw with TempAuth."""

import http.server
import json
import threading
import urllib.request


class KeystoneStub:
    """Lets in whoever has the password or application credential "secret". `tokens` counts the tokens given."""

    def __init__(self, radosgw):
        self.radosgw = radosgw
        self.tokens = 0
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"stub": self}))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v3"
        self.proxy_token = ""
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def expire(self):
        """No token given so far is good any more."""
        self.proxy_token = ""

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    stub = None

    def log_message(self, *_arguments):
        pass

    def do_POST(self):
        identity = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["auth"]["identity"]
        method = identity["methods"][0]
        secret = identity[method]["user"]["password"] if method == "password" else identity[method]["secret"]
        if secret != "secret":
            self._answer(401, {"error": {"code": 401, "message": "no", "title": "Unauthorized"}})
            return
        self.stub.tokens += 1
        self.stub.proxy_token = f"token-{self.stub.tokens}"
        base = self.stub.url.rpartition("/")[0]
        catalog = [{"type": "object-store", "id": "s", "name": "swift", "endpoints": [
            {"id": "e", "interface": "public", "region": "One", "region_id": "One", "url": base + "/swift/v1"}]}]
        token = {"methods": [method], "user": {"id": "u", "name": "dr", "domain": {"id": "default", "name": "Default"}}, "catalog": catalog,
                 "expires_at": "2099-01-01T00:00:00.000000Z", "issued_at": "2026-01-01T00:00:00.000000Z", "roles": [],
                 "project": {"id": "p", "name": "p", "domain": {"id": "default", "name": "Default"}}}
        self._answer(201, {"token": token}, {"X-Subject-Token": self.stub.proxy_token})

    def do_GET(self):
        if self.path.startswith("/swift/"):
            self._forward()
        else:
            self._answer(200, {"version": {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": self.stub.url}]}})

    def do_PUT(self):
        self._forward()

    do_HEAD = do_DELETE = do_PUT

    def _forward(self):
        """To the object store, with a token of its own in place of ours."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.stub.proxy_token or self.headers["X-Auth-Token"] != self.stub.proxy_token:
            self._answer(401, {})
            return
        radosgw = self.stub.radosgw
        sign_in = urllib.request.Request(radosgw["swift_auth_url"],
                                         headers={"X-Auth-User": radosgw["swift_user"], "X-Auth-Key": radosgw["swift_key"]})
        with urllib.request.urlopen(sign_in) as answer:
            token = answer.headers["X-Auth-Token"]
        headers = {name: value for name, value in self.headers.items() if name not in ("Host", "X-Auth-Token", "Connection")}
        request = urllib.request.Request(radosgw["endpoint"] + self.path, data=body if self.command == "PUT" else None, method=self.command,
                                         headers=dict(headers, **{"X-Auth-Token": token}))
        try:
            answer = urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            content = answer.read()
            self.send_response(answer.status)
            for name in ("ETag", "Content-Range", "Content-Type"):
                if answer.headers[name]:
                    self.send_header(name, answer.headers[name])
            self.send_header("Content-Length", answer.headers.get("Content-Length", "0"))
            self.end_headers()
            self.wfile.write(content)

    def _answer(self, status, data, headers=None):
        body = json.dumps(data).encode()
        self.send_response(status)
        for name, value in dict(headers or {}, **{"Content-Type": "application/json", "Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
