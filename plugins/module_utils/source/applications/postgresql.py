# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hook of kind "postgresql".

An image of all of an instance's files at one instant is what the server finds after a power cut: it replays its log and has every
transaction that was committed before that instant (PostgreSQL documentation, "File System Level Backup", consistent snapshots). So
nothing is locked and no session is held. The hook
- refuses an instance that would not survive a power cut (fsync=off),
- makes a checkpoint, so that the recovered server has little to replay,
- notes where the instance's files lie, and sets a named restore point if asked to.

pg_backup_start would be wrong: what it prepares is a copy that is recovered with the backup_label that pg_backup_stop returns, and an
image of an instant has none.
"""

import os
import pwd

from .process import HookError

_DEFAULT_USER = "postgres"
_SETTINGS = ("version", "fsync", "full_page_writes", "data_directory", "standby", "tablespaces")
_QUERY = """
SELECT current_setting('server_version'), current_setting('fsync'), current_setting('full_page_writes'),
       current_setting('data_directory'), pg_is_in_recovery(),
       (SELECT count(*) FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global'));
CHECKPOINT;
"""
_RESTORE_POINT = "SELECT pg_create_restore_point('{name}');\n"
_SEPARATOR = "\x1f"


class PostgresqlHook:
    """Options: client (the command that runs psql), user, timeout, restore_point (a name, or "")."""

    def __init__(self, options, runner):
        self._options = options
        self._runner = runner

    def before(self):
        name = self._options.get("restore_point") or ""
        command = list(self._options.get("client") or ["psql"]) + [
            "--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align", "--field-separator=" + _SEPARATOR,
            "--set=ON_ERROR_STOP=1"] + ([] if self._options.get("client") else ["--dbname=postgres"])
        script = _QUERY + (_RESTORE_POINT.format(name=name.replace("'", "''")) if name else "")
        lines = self._runner.run(command, self._options["timeout"], self._user(), script.encode("utf-8")).splitlines()
        # psql may have notices and warnings to print.
        found = [line.split(_SEPARATOR) for line in lines if line.count(_SEPARATOR) == len(_SETTINGS) - 1]
        if not found:
            raise HookError("psql gave no answer that is understood")
        facts = dict(zip(_SETTINGS, found[0]))
        if facts["fsync"] != "on":
            raise HookError("the server runs with fsync=off: its files would not survive a power cut, so no image of them is sound")
        if name:
            facts.update(restore_point=name, restore_point_lsn=lines[-1])
        return dict(facts, standby=facts["standby"] == "t", tablespaces=int(facts["tablespaces"]))

    def after(self):
        """Nothing was held."""

    def _user(self):
        """By default root asks as the server's own user, whom it lets in without a password."""
        if self._options.get("user") or os.geteuid() != 0:
            return self._options.get("user") or ""
        try:
            return pwd.getpwnam(_DEFAULT_USER).pw_name
        except KeyError:
            return ""
