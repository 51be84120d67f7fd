# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Captures of a mounted disk with a database server on it, under load, with hooks; then another server starts on the restored disk."""

import os
import subprocess
import threading
import time

import pytest
from source_databases import Mariadb, Postgresql, open_folder

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import SourceError
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.job import tasks
from ansible_collections.agnostic.recovery.plugins.module_utils.job.initialise import ensure_repository

SECONDS = 60


class Mounted:
    """A disk file on a loop device, mounted."""

    def __init__(self, path, place, make=False):
        if make:
            with open(str(path), "wb") as handle:
                handle.truncate(600 << 20)
            subprocess.run(["mkfs.ext4", "-q", "-F", str(path)], check=True)
        found = subprocess.run(["losetup", "--find", "--show", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if found.returncode:
            pytest.skip("no loop device: " + found.stderr.decode())
        self.device = found.stdout.decode().strip()
        self.place = place
        place.mkdir()
        subprocess.run(["mount", self.device, str(place)], check=True)

    def remove(self):
        subprocess.run(["umount", str(self.place)], check=True)
        subprocess.run(["losetup", "--detach", self.device], check=True)


@pytest.fixture
def folder():
    with open_folder() as path:
        yield path


@pytest.fixture
def disk(folder):
    if os.geteuid() != 0:
        pytest.skip("freezing needs root")
    mounted = Mounted(folder / "disk.raw", folder / "mounted", make=True)
    yield mounted
    mounted.remove()


@pytest.fixture
def spec(tmp_path, disk):
    options = {"repository": {"type": "directory", "path": str(tmp_path / "repository")}, "passphrase": None, "key_file": None}
    ensure_repository(dict(options, unencrypted=True, chunk_size=None, capture_credential_file=None), check=False)
    return dict(options, kind="capture", machine="db1", disks=[{"name": "sda", "path": disk.device}])


class Writer(threading.Thread):
    """Inserts rows one by one, and knows which the server acknowledged."""

    def __init__(self, server, table):
        super().__init__()
        self._server, self._table = server, table
        self._over = threading.Event()
        self.rows = []

    def run(self):
        while not self._over.is_set():
            word = "w{0}".format(len(self.rows) + 1)
            self._server.sql("INSERT INTO {0} (word) VALUES ('{1}')".format(self._table, word))
            self.rows.append(word)

    def stop(self):
        self._over.set()
        self.join(SECONDS)
        assert not self.is_alive()


def wait_for(condition):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def restored(spec, path, place):
    tasks.run(dict(spec, kind="restore", disks=[{"name": "sda", "path": str(path)}]), NoProgress())
    return Mounted(path, place)


def mariadb(folder):
    folder.mkdir()
    server = Mariadb(folder)
    server.create()
    server.start("--innodb-flush-log-at-trx-commit=0", "--innodb-log-file-size=8M")
    server.sql("CREATE DATABASE shop")
    for table, engine in (("orders", "InnoDB"), ("log", "MyISAM")):
        server.sql("CREATE TABLE shop.{0} (id int AUTO_INCREMENT PRIMARY KEY, word text) ENGINE={1}".format(table, engine))
    return server, ("shop.orders", "shop.log"), {"name": "database", "kind": "mysql", "client": server.client}


def postgresql(folder):
    folder.mkdir()
    server = Postgresql(folder)
    server.create()
    server.start()
    server.sql("CREATE TABLE orders (id serial, word text)")
    hook = {"name": "database", "kind": "postgresql", "client": server.client, "user": "root", "restore_point": "drill"}
    return server, ("orders",), hook


@pytest.mark.parametrize("kind", [mariadb, postgresql], ids=["mariadb", "postgresql"])
def test_a_server_under_load(kind, disk, spec, folder):
    server, tables, hook = kind(disk.place / "server")
    writers = [Writer(server, table) for table in tables]
    for writer in writers:
        writer.start()
    try:
        wait_for(lambda: all(len(writer.rows) >= 5 for writer in writers))
        before = {table: list(writer.rows) for table, writer in zip(tables, writers)}
        result = tasks.run(dict(spec, hooks=[dict(hook, required=True)]), NoProgress())
        counted = [len(writer.rows) for writer in writers]
        wait_for(lambda: all(len(writer.rows) > count for writer, count in zip(writers, counted)))      # nothing is held any more
    finally:
        for writer in writers:
            writer.stop()
        server.stop()
    assert result["image"]["consistency"] == "application", result["warnings"]
    assert [(entry["name"], entry["succeeded"]) for entry in result["hooks"]] == [("database", True)]
    copy = restored(spec, folder / "restored.raw", folder / "restored")
    try:
        place = copy.place / "server"
        for name in ("pid", "socket", "data/postmaster.pid", ".s.PGSQL.5432", ".s.PGSQL.5432.lock"):      # of the server that ran
            if (place / name).exists():
                (place / name).unlink()
        other = type(server)(place)
        other.start()
        try:
            for table in tables:
                found = other.sql("SELECT word FROM {0} ORDER BY id".format(table)).split()
                assert found == ["w{0}".format(number + 1) for number in range(len(found))]     # no row is missing between others
                assert len(found) >= len(before[table])
                if kind is mariadb:
                    assert "status\tOK" in other.sql("CHECK TABLE " + table)
        finally:
            other.stop()
    finally:
        copy.remove()


def test_hooks_that_fail(disk, spec, tmp_path):
    (disk.place / "file").write_text("content")
    log = tmp_path / "log"
    good = {"name": "good", "before": "echo before >> {0}".format(log), "after": "echo after >> {0}".format(log)}
    bad = {"name": "bad", "before": "echo no >&2; exit 1"}
    result = tasks.run(dict(spec, hooks=[good, bad]), NoProgress())
    assert result["image"]["consistency"] == "filesystem"
    assert "Hook bad: sh failed (status 1): no." in result["warnings"]
    with pytest.raises(SourceError, match="Hook bad: .* The hook is required, so nothing was captured"):
        tasks.run(dict(spec, hooks=[good, dict(bad, required=True)]), NoProgress())
    (disk.place / "file").write_text("not frozen")
    assert log.read_text().split() == ["before", "after"] * 2


def test_hooks_of_a_disk_that_is_not_in_use(disk, spec, tmp_path):
    log = tmp_path / "log"
    subprocess.run(["umount", str(disk.place)], check=True)
    try:
        result = tasks.run(dict(spec, hooks=[{"name": "one", "before": "touch {0}".format(log)}]), NoProgress())
    finally:
        subprocess.run(["mount", disk.device, str(disk.place)], check=True)
    assert result["image"]["consistency"] == "offline" and not log.exists()
    assert any(warning.startswith("No hook was run") for warning in result["warnings"])
