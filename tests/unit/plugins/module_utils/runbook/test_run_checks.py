# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks against real local servers, and how a check is repeated, given up, and freed of secrets."""

import contextlib
import http.server
import json
import socket
import sys
import threading
import time

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.check_model import CheckFailed, CheckTarget, match_text
from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.check_sql import compare_rows, parse_psql
from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.checks import complete_check, run_check, run_checks
from ansible_collections.agnostic.recovery.plugins.module_utils.target.qemu_command import Forward

LOCAL = CheckTarget("127.0.0.1")
QUICK = {"timeout": 5, "interval": 9}                     # one attempt


class Site(http.server.BaseHTTPRequestHandler):
    def do_GET(self):                                              # noqa: N802
        self.server.requests += 1
        if self.path == "/late" and self.server.requests < 3:
            self.send_error(503)
        elif self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "http://production.example/")
            self.end_headers()
        else:
            body = json.dumps({"rows": [{"name": "Espresso"}], "site": self.headers["Host"]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_unused):
        pass


@pytest.fixture
def site():
    server = http.server.HTTPServer(("127.0.0.1", 0), Site)
    server.requests = 0
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@contextlib.contextmanager
def greeter(greeting):
    """A TCP server that sends a greeting to each client and then listens."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(5)
    clients = []

    def run():
        with contextlib.suppress(OSError):
            while True:
                client, _address = listener.accept()
                clients.append(client)
                client.sendall(greeting)

    threading.Thread(target=run, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        for client in clients:
            client.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_page_with_its_content(site):
    check = dict(QUICK, kind="http", name="page", port=site.server_port, host="shop.example")
    result = run_check(dict(check, contains=["Espresso"], regex=r'"site": "\S+"'), LOCAL)
    assert result.passed and result.attempts == 1 and result.name == "page" and result.required
    assert "status 200" in result.detail and "'Espresso'" in result.detail and "shop.example" in result.detail
    assert abs(result.finished - time.time()) < 10


def test_a_page_through_a_forward(site):
    target = CheckTarget(forwards=(Forward(80, site.server_port),))
    assert run_check(dict(QUICK, kind="http"), target).passed


def test_a_check_is_repeated_until_it_passes(site):
    result = run_check(dict(kind="http", port=site.server_port, path="/late", timeout=20, interval=0), LOCAL)
    assert result.passed and result.attempts == 3


@pytest.mark.parametrize("options, words", [
    ({"contains": ["Ristretto"]}, "does not contain 'Ristretto'"),
    ({"regex": "^nothing$"}, "does not match"),
    ({"path": "/moved"}, "status 302, not 200"),                   # never followed: it leads to production
    ({"status": 404}, "status 200, not 404"),
])
def test_a_page_that_is_not_as_wanted(site, options, words):
    result = run_check(dict(QUICK, kind="http", port=site.server_port, **options), LOCAL)
    assert not result.passed and words in result.detail


def test_json_of_a_page(site):
    pytest.importorskip("jmespath")
    check = dict(QUICK, kind="http", port=site.server_port, json_query="rows[0].name")
    assert run_check(dict(check, json_value="Espresso"), LOCAL).passed
    assert "'Espresso', not 'Ristretto'" in run_check(dict(check, json_value="Ristretto"), LOCAL).detail


def test_nothing_listens():
    started = time.monotonic()
    result = run_check(dict(kind="tcp", port=free_port(), timeout=1, interval=0.2), LOCAL)
    assert not result.passed and result.attempts > 1 and "no connection" in result.detail
    assert time.monotonic() - started < 3


def test_tcp_and_ssh_greetings():
    with greeter(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n") as port:
        assert run_check(dict(QUICK, kind="tcp", port=port), LOCAL).passed
        assert "SSH-2.0-OpenSSH_9.2p1" in run_check(dict(QUICK, kind="ssh", port=port), LOCAL).detail
    with greeter(b"220 mail ESMTP\r\n") as port:
        assert run_check(dict(QUICK, kind="tcp", port=port, send="EHLO x\r\n", regex="^220 .*ESMTP"), LOCAL).passed
        assert not run_check(dict(kind="ssh", port=port, timeout=1), LOCAL).passed


def test_a_program_on_this_host():
    code = "import os; print(os.environ['DR_CHECK_HOST'], os.environ['DR_CHECK_PORT'])"
    check = dict(QUICK, kind="command", argv=[sys.executable, "-c", code], port=80)
    result = run_check(dict(check, contains=["127.0.0.1 8080"]), CheckTarget(forwards=(Forward(80, 8080),)))
    assert result.passed, result.detail
    assert "status 3" in run_check(dict(QUICK, kind="command", argv=[sys.executable, "-c", "raise SystemExit(3)"]), LOCAL).detail
    missing = run_check(dict(kind="command", argv=["/nowhere/program"], timeout=60), LOCAL)
    assert not missing.passed and missing.attempts == 1            # trying again cannot help


def test_checks_run_side_by_side_and_keep_their_order():
    sleep = [sys.executable, "-c", "import time; time.sleep(0.6)"]
    started = time.monotonic()
    results = run_checks([{"kind": "command", "name": str(number), "argv": sleep} for number in range(4)], LOCAL)
    assert [result.name for result in results] == ["0", "1", "2", "3"] and all(result.passed for result in results)
    assert time.monotonic() - started < 2.2
    assert run_checks([], LOCAL) == []


@pytest.mark.parametrize("check, words", [
    ({"kind": "ping"}, "not one of"),
    ({"kind": "tcp"}, "lacks port"),
    ({"kind": "tcp", "port": 1, "path": "/"}, "does not know path"),
    ({"kind": "sql", "user": "a", "password": None}, "lacks query"),
])
def test_wrong_descriptions_are_refused(check, words):
    with pytest.raises(TargetError, match=words):
        complete_check(check)


def test_a_port_that_nothing_leads_to_fails_at_once():
    result = run_check({"kind": "tcp", "port": 5432, "timeout": 60}, CheckTarget(forwards=(Forward(80, 8080),)))
    assert not result.passed and result.attempts == 1 and "5432" in result.detail


def test_a_guest_that_ended_ends_its_checks(tmp_path):
    (tmp_path / "console.log").write_bytes(b"Power down\r\n")
    result = run_check({"kind": "console", "timeout": 60}, CheckTarget(run_dir=str(tmp_path)))
    assert not result.passed and result.attempts == 1 and "not running any more" in result.detail and "Power down" in result.detail
    assert "needs a QEMU guest" in run_check({"kind": "console"}, LOCAL).detail


def test_passwords_never_come_out():
    check = {"kind": "sql", "user": "u", "query": "SELECT 1", "password": "127.0.0.1", "timeout": 1, "port": free_port()}
    result = run_check(check, LOCAL)
    assert not result.passed and "127.0.0.1" not in result.detail


def test_matching_says_what_was_found():
    assert match_text("it", "abc def", ("abc",), "d.f") == "it contains 'abc', 'def'"
    assert match_text("it", "abc") == ""
    with pytest.raises(CheckFailed, match=r"does not contain 'x': a b \.\.\.|does not contain 'x': a b"):
        match_text("it", "a\n b", ("x",))


def sql_check(**options):
    return complete_check(dict(options, kind="sql", user="u", query="q"))


@pytest.mark.parametrize("options, rows", [
    ({"value": 3}, [(3,)]), ({"value": "3"}, [(3, "x")]), ({"value": True}, [(True,)]), ({"row_count": 0}, []),
    ({"rows": [[1, "a"], [2, None]]}, [(1, "a"), (2, None)]), ({"rows": [["t"]]}, [(True,)]), ({}, [(1,)]),
])
def test_rows_that_are_as_wanted(options, rows):
    assert compare_rows(sql_check(**options), rows)


@pytest.mark.parametrize("options, rows", [
    ({"value": 3}, []), ({"value": 3}, [(4,)]), ({"row_count": 1}, []), ({"rows": [[1]]}, [(1,), (2,)]), ({"rows": [["None"]]}, [(None,)]),
])
def test_rows_that_are_not(options, rows):
    with pytest.raises(CheckFailed):
        compare_rows(sql_check(**options), rows)


def test_rows_of_psql():
    assert parse_psql("1\x1fa\nb\x1e2\x1f\x01null\x01\n") == [["1", "a\nb"], ["2", None]]
    assert parse_psql("") == []
