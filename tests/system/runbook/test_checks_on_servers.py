# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SQL and SSH checks against real servers of this host, on loopback: a private PostgreSQL cluster and an sshd of our own."""

import getpass
import glob
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.check_model import CheckTarget
from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.checks import run_check

LOCAL = CheckTarget("127.0.0.1")
PASSWORD = "se:cr\\et"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory):
    """Port of a private cluster with a table of three coffees."""
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    if not programs:
        pytest.skip("this machine has no PostgreSQL server (package postgresql)")
    programs = os.path.dirname(programs[-1])
    folder = tmp_path_factory.mktemp("pg")
    as_user = []
    if os.geteuid() == 0:                            # PostgreSQL refuses to run as root
        user = pwd.getpwnam("postgres")
        for place in [folder] + list(folder.parents):
            if not os.stat(str(place)).st_mode & 0o001:
                os.chmod(str(place), 0o755)
        os.chown(str(folder), user.pw_uid, user.pw_gid)
        as_user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]
    port = free_port()

    def run(*arguments, **options):
        return subprocess.run(as_user + list(arguments), cwd=str(folder), check=True, stdout=subprocess.DEVNULL, **options)

    (folder / "password").write_text(PASSWORD)
    os.chmod(str(folder / "password"), 0o644)
    data = str(folder / "data")
    run(os.path.join(programs, "initdb"), "-D", data, "-U", "shop", "-A", "scram-sha-256", "--pwfile", str(folder / "password"),
        "-E", "UTF8", "--no-sync")
    settings = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync=off"
    run(os.path.join(programs, "pg_ctl"), "-D", data, "-w", "-l", str(folder / "log"), "-o", settings, "start", stderr=subprocess.DEVNULL)
    try:
        (folder / "pass").write_text("*:*:*:*:" + PASSWORD.replace("\\", "\\\\").replace(":", "\\:") + "\n")
        os.chmod(str(folder / "pass"), 0o600)
        script = ("CREATE TABLE coffee (id int, name text, milk bool);"
                  "INSERT INTO coffee VALUES (1, 'Espresso', false), (2, 'Latte', true), (3, NULL, true);")
        subprocess.run(["psql", "-q", "-h", "127.0.0.1", "-p", str(port), "-U", "shop", "postgres"], input=script.encode(), check=True,
                       env=dict(os.environ, PGPASSFILE=str(folder / "pass")))
        yield port
    finally:
        run(os.path.join(programs, "pg_ctl"), "-D", data, "-m", "immediate", "stop")


@pytest.fixture(params=["driver", "psql"])
def way(request, monkeypatch):
    """Both ways to PostgreSQL: a Python driver, and the program psql where Python has none."""
    if request.param == "driver":
        pytest.importorskip("psycopg2")
    else:
        if not shutil.which("psql"):
            pytest.skip("this machine has no psql (package postgresql-client)")
        for name in ("psycopg", "psycopg2"):
            monkeypatch.setitem(sys.modules, name, None)
    return request.param


def ask(port, query, password=PASSWORD, **options):
    check = {"kind": "sql", "user": "shop", "password": password, "database": "postgres", "port": port, "query": query}
    return run_check(dict(check, timeout=20, interval=30, **options), LOCAL)


@pytest.mark.parametrize("query, wanted", [
    ("SELECT count(*) FROM coffee", {"value": 3}),
    ("SELECT id, name, milk FROM coffee ORDER BY id",
     {"rows": [[1, "Espresso", False], [2, "Latte", True], [3, None, True]], "row_count": 3}),
    ("SELECT name FROM coffee WHERE id > 7", {"row_count": 0}),
    ("SELECT E'two\nlines', 'a;b,c'", {"rows": [["two\nlines", "a;b,c"]]}),
])
def test_rows_as_wanted(postgresql, way, query, wanted):
    result = ask(postgresql, query, **wanted)
    assert result.passed, result


@pytest.mark.parametrize("query, wanted, words", [
    ("SELECT count(*) FROM coffee", {"value": 4}, "the value is '3', not '4'"),
    ("SELECT count(*) FROM tea", {"value": 4}, "tea"),
    ("SELECT id FROM coffee", {"row_count": 2}, "3 rows, not 2"),
    ("DELETE FROM coffee", {"row_count": 0}, "read-only"),
    ("SELECT id FROM coffee ORDER BY id", {"rows": [[1], [3], [2]]}, "the rows are"),
])
def test_rows_not_as_wanted(postgresql, way, query, wanted, words):
    result = ask(postgresql, query, **wanted)
    assert not result.passed and words in result.detail


def test_a_wrong_password_is_told_and_not_shown(postgresql, way):
    result = ask(postgresql, "SELECT 1", password="wrong-word")
    assert not result.passed and "authentication failed" in result.detail and "wrong-word" not in repr(result)


def test_what_is_missing_is_named(monkeypatch):
    for name in ("psycopg", "psycopg2", "pymysql"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setenv("PATH", "/nowhere")
    assert "python3-psycopg2" in ask(1, "SELECT 1").detail
    result = ask(1, "SELECT 1", engine="mysql")
    assert "python3-pymysql" in result.detail and result.attempts == 1


def test_mysql_that_does_not_answer():
    pytest.importorskip("pymysql")
    result = ask(free_port(), "SELECT 1", engine="mysql")
    assert not result.passed and "the database says" in result.detail


@pytest.fixture
def sshd(tmp_path):
    """(port, key file) of an sshd of our own."""
    program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ.get("PATH", ""))
    if not program or not shutil.which("ssh-keygen") or os.geteuid() != 0:
        pytest.skip("this machine has no sshd (package openssh-server), or the test does not run as root")
    os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)
    (tmp_path / "keys").write_text((tmp_path / "user.pub").read_text())
    port = free_port()
    options = [f"HostKey={tmp_path / 'host'}", f"AuthorizedKeysFile={tmp_path / 'keys'}", "ListenAddress=127.0.0.1", f"Port={port}",
               "StrictModes=no", "PasswordAuthentication=no", "PidFile=none", "UsePAM=no", "PermitRootLogin=yes"]
    arguments = [word for option in options for word in ("-o", option)]
    server = subprocess.Popen([program, "-D", "-f", "/dev/null"] + arguments, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield port, str(tmp_path / "user")
    finally:
        server.terminate()
        server.wait()


def test_ssh(sshd):
    port, key = sshd
    check = {"kind": "ssh", "port": port, "timeout": 15, "interval": 30}
    assert "SSH-2.0-" in run_check(check, LOCAL).detail
    login = dict(check, user=getpass.getuser(), key_file=key, command="echo served; exit 0")
    assert run_check(dict(login, contains=["served"]), LOCAL).passed
    assert "status 4" in run_check(dict(login, command="exit 4"), LOCAL).detail
    refused = run_check(dict(login, key_file="/nowhere/key"), LOCAL)
    assert not refused.passed and "status 255" in refused.detail
