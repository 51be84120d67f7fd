# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks by SQL: a query on the recovered machine's database, with the rows that it must give.

PostgreSQL through psycopg or psycopg2 where Python has one of them, else through the program psql. MySQL and MariaDB through PyMySQL.
Sessions are read-only: a check must not change what it looks at.
"""

# The library knows no AnsibleModule, whose run_command the rule asks for.
# pylint: disable=ansible-bad-function

import os
import shutil
import subprocess
import tempfile
import time

from ..errors import TargetError
from .check_model import CheckFailed, excerpt

_PORTS = {"postgresql": 5432, "mysql": 3306}
_FIELD, _RECORD, _NULL = "\x1f", "\x1e", "\x01null\x01"
_ROW_LIMIT = 10000


def attempt_sql(check, target, deadline):
    """Runs `query` and compares `rows` (a list of lists), `value` (of the first column of the first row) or `row_count`."""
    endpoint = target.endpoint(check["port"] or _PORTS[check["engine"]])
    seconds = max(1, int(min(30.0, deadline - time.monotonic())))
    rows = _query_postgresql(check, endpoint, seconds) if check["engine"] == "postgresql" else _query_mysql(check, endpoint, seconds)
    return compare_rows(check, rows)


def compare_rows(check, rows):
    """Compares as text, since drivers differ in types. Returns what was found, in words; raises CheckFailed."""
    rows = [[_text(cell) for cell in row] for row in rows]
    details = [f"{len(rows)} row{'' if len(rows) == 1 else 's'}"]
    if check["row_count"] is not None and len(rows) != check["row_count"]:
        raise CheckFailed(f"the query gave {len(rows)} rows, not {check['row_count']}")
    if check["value"] is not None:
        found = rows[0][0] if rows and rows[0] else None
        if found != _text(check["value"]):
            raise CheckFailed(f"the value is {found!r}, not {_text(check['value'])!r}")
        details.append(f"value {excerpt(found)}")
    if check["rows"] is not None:
        wanted = [[_text(cell) for cell in row] for row in check["rows"]]
        if rows != wanted:
            raise CheckFailed(f"the rows are {excerpt(repr(rows))}, not {excerpt(repr(wanted))}")
        details.append("all as expected")
    return ", ".join(details)


def _text(cell):
    if cell is None:
        return None
    if isinstance(cell, bool):
        return "t" if cell else "f"            # as PostgreSQL prints them
    if isinstance(cell, (bytes, bytearray)):
        return bytes(cell).decode("utf-8", "replace")
    return str(cell)


def _query_postgresql(check, endpoint, seconds):
    settings = f"-c default_transaction_read_only=on -c statement_timeout={seconds}s"
    for name in ("psycopg", "psycopg2"):
        try:
            driver = __import__(name)
        except ImportError:
            continue
        return _query_driver(
            driver, check["query"], host=endpoint[0], port=endpoint[1], user=check["user"], password=check["password"] or None,
            dbname=check["database"] or check["user"], connect_timeout=max(2, seconds), options=settings, passfile=os.devnull)
    return _query_psql(check, endpoint, seconds, settings)


def _query_mysql(check, endpoint, seconds):
    try:
        import pymysql
    except ImportError:
        raise TargetError("A MySQL check needs the Python package PyMySQL on this host (Debian: python3-pymysql).")
    return _query_driver(
        pymysql, check["query"], host=endpoint[0], port=endpoint[1], user=check["user"], password=check["password"],
        database=check["database"] or None, connect_timeout=seconds, read_timeout=seconds, init_command="SET SESSION TRANSACTION READ ONLY")


def _query_driver(driver, query, **connection_arguments):
    """Any driver of DB-API 2.0 (PEP 249)."""
    try:
        connection = driver.connect(**connection_arguments)
        try:
            cursor = connection.cursor()
            cursor.execute(query)
            return cursor.fetchmany(_ROW_LIMIT) if cursor.description else []
        finally:
            connection.close()
    except driver.Error as error:
        raise CheckFailed(f"the database says: {excerpt(str(error))}") from error


def _query_psql(check, endpoint, seconds, settings):
    if not shutil.which("psql"):
        raise TargetError("A PostgreSQL check needs psycopg2 for Python or the program psql on this host "
                          "(Debian: python3-psycopg2 or postgresql-client).")
    with tempfile.NamedTemporaryFile("w", prefix="agnostic-recovery-", encoding="utf-8") as password:     # mode 0600
        password.write("*:*:*:*:" + check["password"].replace("\\", "\\\\").replace(":", "\\:") + "\n")
        password.flush()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        environment.update(PGPASSFILE=password.name, PGCONNECT_TIMEOUT=str(max(2, seconds)), PGOPTIONS=settings, PGCLIENTENCODING="UTF8")
        arguments = ["psql", "-X", "-w", "-q", "-A", "-t", "-F", _FIELD, "-R", _RECORD, "-P", f"null={_NULL}", "-v", "ON_ERROR_STOP=1",
                     "-h", endpoint[0], "-p", str(endpoint[1]), "-U", check["user"], "-d", check["database"] or check["user"], "-f", "-"]
        try:
            done = subprocess.run(arguments, input=check["query"].encode("utf-8"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  env=environment, timeout=seconds + 10, check=False)
        except subprocess.TimeoutExpired:
            raise CheckFailed("the query did not end in time")
    if done.returncode:
        raise CheckFailed(f"the database says: {excerpt(done.stderr.decode('utf-8', 'replace'))}")
    return parse_psql(done.stdout.decode("utf-8", "replace"))


def parse_psql(output):
    """Rows from psql's unaligned output with our separators."""
    if output.endswith("\n"):
        output = output[:-1]
    if not output:
        return []
    return [[None if cell == _NULL else cell for cell in record.split(_FIELD)] for record in output.split(_RECORD)][:_ROW_LIMIT]
