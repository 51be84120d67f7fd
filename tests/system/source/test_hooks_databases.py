# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ready-made hooks with real servers: what they hold, what they refuse, and that copies taken under them recover."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
from source_databases import Mariadb, Postgresql, open_folder

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import SourceError
from ansible_collections.agnostic.recovery.plugins.module_utils.source.hooks import Hooks

SECONDS = 30


@pytest.fixture(scope="module")
def folder():
    with open_folder() as path:
        yield path


def _server(kind, folder):
    folder.mkdir()
    server = kind(folder)
    server.create()
    return server


@pytest.fixture(scope="module")
def postgresql(folder):
    server = _server(Postgresql, folder / "pg")
    server.start()
    server.sql("CREATE TABLE orders (id serial, word text)")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def mariadb(folder):
    server = _server(Mariadb, folder / "my")
    server.start("--innodb-flush-log-at-trx-commit=0")
    server.sql("CREATE DATABASE shop; CREATE TABLE shop.orders (id int AUTO_INCREMENT PRIMARY KEY, word text) ENGINE=InnoDB; "
               "CREATE TABLE shop.log (id int AUTO_INCREMENT PRIMARY KEY, word text) ENGINE=MyISAM")
    yield server
    server.stop()


def postgresql_hook(server, **options):
    return dict({"name": "database", "kind": "postgresql", "client": server.client, "user": "root" if os.geteuid() == 0 else ""}, **options)


def mysql_hook(server, **options):
    return dict({"name": "database", "kind": "mysql", "client": server.client}, **options)


def wait_for(condition):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_postgresql_checkpoint_and_restore_point(postgresql):
    where = "SELECT checkpoint_lsn FROM pg_control_checkpoint()"
    before = postgresql.sql(where)
    postgresql.sql("INSERT INTO orders (word) VALUES ('checkpointed')")
    hooks = Hooks([postgresql_hook(postgresql, restore_point="it's a drill", required=True)])
    hooks.before_freeze()
    assert postgresql.sql(where) != before
    postgresql.sql("INSERT INTO orders (word) VALUES ('nothing is locked')")
    hooks.after_thaw()
    assert hooks.succeeded(), hooks.warnings()
    detail = hooks.evidence()[0]["detail"]
    assert detail["data_directory"] == postgresql.data and detail["fsync"] == "on" and detail["standby"] is False
    assert detail["tablespaces"] == 0 and detail["restore_point"] == "it's a drill"
    assert postgresql.sql("SELECT '{0}'::pg_lsn > '{1}'".format(detail["restore_point_lsn"], before)) == "t"


def test_postgresql_that_is_not_safe_is_refused(folder):
    server = _server(Postgresql, folder / "unsafe")
    server.start("fsync=off")
    try:
        with pytest.raises(SourceError, match="fsync=off.*nothing was captured"):
            Hooks([postgresql_hook(server, required=True)]).before_freeze()
    finally:
        server.stop()


def test_postgresql_that_is_not_there(tmp_path):
    hooks = Hooks([{"name": "database", "kind": "postgresql", "client": ["psql", "--host={0}".format(tmp_path)]}])
    hooks.before_freeze()
    hooks.after_thaw()
    assert not hooks.succeeded() and "psql failed (status 2): psql: error: connection to server" in hooks.warnings()[0]


def test_mariadb_is_held_and_reads_go_on(mariadb):
    hooks = Hooks([mysql_hook(mariadb, required=True)])
    hooks.before_freeze()
    count = "SELECT COUNT(*) FROM shop.orders"
    writer = threading.Thread(target=mariadb.sql, args=["INSERT INTO shop.orders (word) VALUES ('late')"])
    before = mariadb.sql(count)
    writer.start()
    try:
        wait_for(lambda: "Waiting for" in mariadb.sql("SHOW PROCESSLIST"))
        for _time in range(5):
            assert mariadb.sql(count) == before and writer.is_alive()
    finally:
        hooks.after_thaw()
        writer.join(SECONDS)
    assert not writer.is_alive() and int(mariadb.sql(count)) == int(before) + 1
    assert hooks.succeeded(), hooks.warnings()
    detail = hooks.evidence()[0]["detail"]
    assert detail["lock"] == "backup stage" and "MariaDB" in detail["version"]


def test_the_read_lock_of_mysql(mariadb, tmp_path):
    """A client that tells another version, and is the real one otherwise: the server knows both ways to lock."""
    client = tmp_path / "client"
    client.write_text("#!/bin/sh\nexec sed -u 's/SELECT VERSION()/SELECT \"8.0.36\"/' | exec {0} \"$@\"\n".format(" ".join(mariadb.client)))
    client.chmod(0o755)
    hooks = Hooks([mysql_hook(mariadb, client=[str(client)])])
    hooks.before_freeze()
    writer = threading.Thread(target=mariadb.sql, args=["INSERT INTO shop.log (word) VALUES ('late')"])
    writer.start()
    try:
        wait_for(lambda: "Waiting for" in mariadb.sql("SHOW PROCESSLIST"))
        assert writer.is_alive()
    finally:
        hooks.after_thaw()
        writer.join(SECONDS)
    assert not writer.is_alive() and hooks.succeeded(), hooks.warnings()
    assert hooks.evidence()[0]["detail"] == {"version": "8.0.36", "lock": "read lock"}


def test_a_lock_that_was_lost_is_no_success(mariadb):
    hooks = Hooks([mysql_hook(mariadb)])
    hooks.before_freeze()
    mine = mariadb.sql("SELECT id FROM information_schema.processlist WHERE command = 'Sleep'").split()
    for number in mine:
        mariadb.sql("KILL {0}".format(number))
    hooks.after_thaw()
    assert not hooks.succeeded() and "the lock was not held to the end" in hooks.warnings()[0]
    mariadb.sql("INSERT INTO shop.orders (word) VALUES ('free again')")


def test_a_lock_that_cannot_be_had_in_time_is_not_waited_for(mariadb):
    """Another session writes a MyISAM table for long; behind a lock that waits for it everybody would wait."""
    busy = subprocess.Popen(mariadb.client + ["-e", "LOCK TABLES shop.log WRITE; SELECT SLEEP(1000)"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: "SLEEP" in mariadb.sql("SELECT info FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP%'"))
        hooks = Hooks([mysql_hook(mariadb, timeout=1)])
        hooks.before_freeze()
        hooks.after_thaw()
        assert not hooks.succeeded() and hooks.warnings()
        wait_for(lambda: "BACKUP" not in mariadb.sql("SELECT info FROM information_schema.processlist WHERE info LIKE 'BACKUP%'"))
        mariadb.sql("INSERT INTO shop.orders (word) VALUES ('nobody waits')")
    finally:
        busy.kill()
        busy.wait()
        for number in mariadb.sql("SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP%'").split():
            mariadb.sql("KILL {0}".format(number))


ENGINE = """
import sys, time
from ansible_collections.agnostic.recovery.plugins.module_utils.source.hooks import Hooks
hooks = Hooks([{"name": "database", "kind": "mysql", "client": sys.argv[1:]}])
hooks.before_freeze()
print(hooks.evidence()[0]["detail"]["lock"], flush=True)
time.sleep(1000)
"""


def test_the_lock_goes_with_an_engine_that_is_killed(mariadb):
    process = subprocess.Popen([sys.executable, "-c", ENGINE] + mariadb.client, stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout.readline() == b"backup stage\n"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    mariadb.sql("INSERT INTO shop.orders (word) VALUES ('after the kill')")


def _writes(server, table, acknowledged, stop):
    """Insert rows one by one; note each that the server acknowledged."""
    number = 0
    while not stop.is_set():
        number += 1
        server.sql("INSERT INTO {0} (word) VALUES ('w{1}')".format(table, number))
        acknowledged.append("w{0}".format(number))


def test_an_instant_under_the_hold_has_every_acknowledged_row(mariadb, folder):
    """All files as they are at one instant, also those of a table without a log; then another server starts on them."""
    tables = ("shop.orders", "shop.log")
    stop = threading.Event()
    acknowledged = {table: [] for table in tables}
    writers = [threading.Thread(target=_writes, args=[mariadb, table, acknowledged[table], stop]) for table in tables]
    for writer in writers:
        writer.start()
    try:
        wait_for(lambda: all(len(rows) >= 5 for rows in acknowledged.values()))
        hooks = Hooks([mysql_hook(mariadb)])
        hooks.before_freeze()
        known = {table: list(rows) for table, rows in acknowledged.items()}
        copy = folder / "copy"
        copy.mkdir()
        with mariadb.stopped():
            shutil.copytree(str(mariadb.folder / "data"), str(copy / "data"))
        hooks.after_thaw()
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert hooks.succeeded(), hooks.warnings()
    other = Mariadb(copy)
    other.start()
    try:
        for table in tables:
            assert "status\tOK" in other.sql("CHECK TABLE " + table)
            assert set(known[table]) <= set(other.sql("SELECT word FROM " + table).split())
    finally:
        other.stop()
