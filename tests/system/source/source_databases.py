# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Private database servers in a folder, on a socket: PostgreSQL and MariaDB as the distribution ships them."""

import glob
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager

import pytest

SECONDS = 60


@contextmanager
def open_folder():
    """A folder that other users can reach: those of pytest are closed to them."""
    path = tempfile.mkdtemp(prefix="agnostic-recovery-servers-")
    try:
        os.chmod(path, 0o755)
        yield pathlib.Path(path)
    finally:
        shutil.rmtree(path)


def give(folder, user):
    """Let this user own a folder; returns the words that run a command as that user, none if we are not root."""
    if os.geteuid() != 0:
        return []
    entry = pwd.getpwnam(user)
    os.chmod(str(folder), 0o755)
    subprocess.run(["chown", "-R", "{0}:{1}".format(entry.pw_uid, entry.pw_gid), str(folder)], check=True)
    return ["setpriv", "--reuid", user, "--regid", str(entry.pw_gid), "--clear-groups"]


def run(*command):
    """Run a command to a good end; what it printed."""
    result = subprocess.run(list(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert result.returncode == 0, result.stdout.decode("utf-8", "replace")
    return result.stdout.decode("utf-8")


class Postgresql:
    """A cluster in `folder`/data, its socket in `folder`."""

    def __init__(self, folder):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
        if not found:
            pytest.skip("this machine has no PostgreSQL server (package postgresql)")
        self._programs = os.path.dirname(found[-1])
        self.folder = folder
        self._as_user = give(folder, "postgres")
        self.client = ["psql", "--host={0}".format(folder), "--username=postgres", "--dbname=postgres"]

    def create(self):
        self._run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")

    @property
    def data(self):
        return str(self.folder / "data")

    def start(self, *settings):
        words = ["-c listen_addresses=''", "-c unix_socket_directories={0}".format(self.folder)] + ["-c " + word for word in settings]
        self._run("pg_ctl", "-D", self.data, "-w", "-l", str(self.folder / "log"), "-o", " ".join(words), "start")

    def stop(self):
        self._run("pg_ctl", "-D", self.data, "-m", "immediate", "stop")

    def sql(self, statement):
        return run(*self.client, "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-c", statement).strip()

    def _run(self, program, *arguments):
        # Not through a pipe: the server would keep it open.
        with open(str(self.folder / "programs.log"), "ab") as log:
            done = subprocess.run(self._as_user + [os.path.join(self._programs, program)] + list(arguments), cwd=str(self.folder),
                                  check=False, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        said = "".join(path.read_text() for path in sorted(self.folder.glob("*log")))
        assert done.returncode == 0, said


class Mariadb:
    """A server in `folder`."""

    def __init__(self, folder):
        self._server = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin")
        if not self._server or not shutil.which("mariadb-install-db"):
            pytest.skip("this machine has no MariaDB server (package mariadb-server)")
        self.folder = folder
        self._as_user = give(folder, "mysql")
        self._process = None
        self.client = ["mariadb", "--no-defaults", "--socket={0}/socket".format(folder), "--user=root"]

    def create(self):
        run(*self._as_user, "mariadb-install-db", "--no-defaults", "--datadir={0}/data".format(self.folder), "--skip-test-db",
            "--auth-root-authentication-method=normal")

    def start(self, *settings):
        with open(str(self.folder / "server.log"), "ab") as log:
            self._process = subprocess.Popen(
                self._as_user + [self._server, "--no-defaults", "--datadir={0}/data".format(self.folder), "--skip-networking",
                                 "--socket={0}/socket".format(self.folder), "--pid-file={0}/pid".format(self.folder)] + list(settings),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + SECONDS
        ask = self.client + ["-e", "SELECT 1"]
        while subprocess.run(ask, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode:
            assert self._process.poll() is None and time.monotonic() < deadline, (self.folder / "server.log").read_text()
            time.sleep(0.1)

    @contextmanager
    def stopped(self):
        """No thread of the server does anything: its files are those of one instant."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def stop(self):
        self._process.kill()
        self._process.wait()

    def sql(self, statement):
        return run(*self.client, "--batch", "--skip-column-names", "-e", statement).strip()
