# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine's PostgreSQL cluster with its orders, made in the machine's root without starting a server."""

import os
from typing import Any, Dict

from .data import order
from .run import chroot

VERSION = "15"
DATA = "/var/lib/postgresql/%s/main" % VERSION
CONFIG = "/etc/postgresql/%s/main" % VERSION


def create(demo: Dict[str, Any], root: str) -> None:
    database = demo["database"]
    chroot(root, ["pg_createcluster", VERSION, "main", "--locale", "C.UTF-8", "--", "--data-checksums", "--auth-host", "scram-sha-256"])
    with open(root + CONFIG + "/conf.d/demo.conf", "w", encoding="utf-8") as file:
        # initdb has looked at this root, which has no /dev/shm; the running machine has. jit costs an emulated guest seconds.
        file.write("listen_addresses = '*'\nport = %d\ndynamic_shared_memory_type = posix\njit = off\n" % database["port"])
    with open(root + CONFIG + "/pg_hba.conf", "a", encoding="utf-8") as file:
        file.write("host {name} {user} 0.0.0.0/0 scram-sha-256\n".format(**database))
    _sql(root, "postgres", [
        "CREATE ROLE {user} LOGIN PASSWORD '{password}'".format(**database),
        "CREATE DATABASE {name} OWNER {user}".format(**database),
    ])
    orders = (order(demo, number) for number in range(1, demo["orders"]["initial"] + 1))
    rows = ",\n".join("('{item}', {quantity}, {customer})".format(**row) for row in orders)
    _sql(root, database["name"], [
        "CREATE TABLE orders (id serial PRIMARY KEY, item text NOT NULL, quantity integer NOT NULL, customer integer NOT NULL,"
        " state text NOT NULL DEFAULT 'new', placed timestamptz NOT NULL DEFAULT now())",
        "INSERT INTO orders (item, quantity, customer) VALUES\n" + rows,
        "ALTER TABLE orders OWNER TO %s" % database["user"],
        "VACUUM ANALYZE orders",
    ])


def _sql(root: str, database: str, statements) -> None:
    """Runs the statements in PostgreSQL's single-user mode: no socket, no port, nothing that could meet a server of this machine."""
    command = [
        "/usr/lib/postgresql/%s/bin/postgres" % VERSION, "--single", "-j", "-D", DATA,
        "-c", "config_file=%s/postgresql.conf" % CONFIG, "-c", "dynamic_shared_memory_type=sysv", "-c", "exit_on_error=true", database,
    ]
    # -j: a statement ends with a semicolon and an empty line.
    chroot(root, command, "".join(statement + ";\n\n" for statement in statements), user="postgres:postgres")
    if os.path.exists(root + DATA + "/postmaster.pid"):
        os.unlink(root + DATA + "/postmaster.pid")
