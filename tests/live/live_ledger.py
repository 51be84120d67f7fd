# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients that write to the guest's database all the time, and remember outside of it what was committed and when."""

import threading
import time

import psycopg2

FILLER = "x" * 400
PATIENCE = 600           # seconds: an emulated machine


class Ledger:
    """One row a transaction. `committed` holds (id, time at which the transaction began by the guest's clock, in seconds), in order: a
    transaction was committed before the next one of the same client began.
    """

    def __init__(self, port, database, clients=2):
        self._port, self._database = port, database
        self._clients = clients
        self._stop = threading.Event()
        self._threads = []
        self.committed = [[] for _client in range(clients)]
        self.error = None

    def __enter__(self):
        for client in range(self._clients):
            self._threads.append(threading.Thread(target=self._write, args=(client,), daemon=True))
            self._threads[-1].start()
        return self

    def __exit__(self, *exc_info):
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=120)

    def wait_for(self, rows):
        deadline = time.monotonic() + 300
        while sum(len(rows_of) for rows_of in self.committed) < rows:
            assert self.error is None, self.error
            assert time.monotonic() < deadline, "the database takes no rows"
            time.sleep(0.2)

    def _write(self, client):
        try:
            with _connected(self._port, self._database) as connection:
                number = client
                while not self._stop.is_set():
                    with connection.cursor() as cursor:
                        cursor.execute("INSERT INTO entries (id, filler) VALUES (%s, %s) RETURNING extract(epoch FROM at)",
                                       (number, FILLER))
                        began = float(cursor.fetchone()[0])
                    connection.commit()
                    self.committed[client].append((number, began))
                    number += self._clients
                    time.sleep(0.1)
        except psycopg2.Error as error:
            if not self._stop.is_set():
                self.error = error

    def before(self, moment):
        """Ids of the transactions that were certainly committed before the moment by the guest's clock."""
        return {rows[index][0] for rows in self.committed for index in range(len(rows) - 1) if rows[index + 1][1] < moment}

    def after(self, moment):
        """Ids of those that began after it."""
        return {number for rows in self.committed for number, began in rows if began > moment}


def rows_of(vm, database):
    """Ids of the rows that the guest's database holds, once it is up. Reading them all checks their pages' checksums."""
    with _connected(vm.sql_port, database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id, length(filler) FROM entries")
        rows = cursor.fetchall()
    assert all(length == len(FILLER) for _number, length in rows)
    return {number for number, _length in rows}


def _connected(port, database):
    """A guest that answers to SSH may still be starting its database, and QEMU takes connections for a port that is not open yet."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return psycopg2.connect(host="127.0.0.1", port=port, dbname=database["name"], user=database["user"],
                                    password=database["password"], connect_timeout=60)
        except psycopg2.OperationalError:
            if time.monotonic() > deadline:
                raise
        time.sleep(3)
