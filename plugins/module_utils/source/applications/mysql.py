# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hook of kind "mysql": MySQL and MariaDB.

InnoDB survives a power cut, but tables of other engines, the binary log and the data dictionary agree with it only while nobody writes. A
global lock is needed until the snapshot exists or the file systems are thawed, and it lasts as long as the session that took it: the client
stays open, its standard input is ours. MariaDB from 10.4 on has BACKUP STAGE for this, which blocks commits and not reads; elsewhere it
is FLUSH TABLES WITH READ LOCK. When the client dies, so does the lock; when the session was cut in between, the end says so.
"""

import re
import shutil
import time

from .process import HookError, Session

_LOCKS = {
    # (to take it, to give it back); lock_wait_timeout bounds both, and ends the wait in the server too.
    "backup stage": ("BACKUP STAGE START; BACKUP STAGE FLUSH; BACKUP STAGE BLOCK_DDL; BACKUP STAGE BLOCK_COMMIT;", "BACKUP STAGE END;"),
    "read lock": ("FLUSH TABLES WITH READ LOCK;", "UNLOCK TABLES;"),
}
_HELD_SECONDS = 8 * 3600
_HAS_INNODB = "SELECT COUNT(*) FROM information_schema.engines WHERE engine = 'InnoDB' AND support IN ('YES', 'DEFAULT');"
_INNODB_STATUS = "SHOW ENGINE INNODB STATUS;"
_LOOK_SECONDS = 0.1


class MysqlHook:
    """Options: client (the command that runs mysql or mariadb), user, timeout."""

    def __init__(self, options, runner):
        self._options = options
        self._runner = runner
        self._session = None
        self._release = ""         # what gives the lock back, once it is held
        self._asked = 0

    def before(self):
        client = self._options.get("client") or ["mariadb" if shutil.which("mariadb") else "mysql"]
        # A client that came back by itself would give back a lock that it no longer held.
        command = list(client) + ["--batch", "--skip-column-names", "--unbuffered", "--skip-reconnect"]
        self._session = Session(self._runner, command, self._options.get("user") or "")
        version = self._ask("SELECT VERSION();").strip()
        lock = "backup stage" if _has_backup_stage(version) else "read lock"
        seconds = max(1, int(self._options["timeout"]))
        self._ask(f"SET SESSION lock_wait_timeout = {seconds}, SESSION wait_timeout = {_HELD_SECONDS};")
        self._ask(_LOCKS[lock][0])
        self._release = _LOCKS[lock][1]
        if self._ask(_HAS_INNODB).strip() == "1":
            self._await_log(time.monotonic() + self._options["timeout"])
        return {"version": version, "lock": lock}

    def after(self):
        if self._session is None:
            return
        try:
            if self._release:
                self._ask(self._release)
        except HookError as error:
            raise HookError(f"the lock was not held to the end: {error}")
        finally:
            self._session.stop()       # it has nothing more to say, and with it goes any lock

    def _await_log(self, deadline):
        """Wait until all that is committed is in the log's files: innodb_flush_log_at_trx_commit=0 keeps it in memory for a second."""
        wanted = None
        while True:
            found = dict(re.findall(r"Log (sequence number|flushed up to) +(\d+)", self._ask(_INNODB_STATUS)))
            if len(found) != 2:
                raise HookError("the state of InnoDB's log is not told in a way that is understood")
            if wanted is None:
                wanted = int(found["sequence number"])
            if int(found["flushed up to"]) >= wanted:
                return
            if time.monotonic() > deadline:
                raise HookError("InnoDB did not write its log in time")
            time.sleep(_LOOK_SECONDS)

    def _ask(self, statements):
        """What the server answers."""
        self._asked += 1
        mark = f"agnostic.recovery {self._asked}"
        self._session.send(f"{statements}\nSELECT '{mark}';\n".encode("utf-8"))
        return self._session.expect(mark, self._options["timeout"])


def _has_backup_stage(version):
    """"10.11.6-MariaDB-0+deb12u1": yes. MariaDB before 10.4, and MySQL of any version ("8.0.36"): no."""
    numbers = re.match(r"(?:5\.5\.5-)?(\d+)\.(\d+)", version)
    return "mariadb" in version.lower() and bool(numbers) and (int(numbers.group(1)), int(numbers.group(2))) >= (10, 4)
