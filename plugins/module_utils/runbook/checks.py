# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks: proofs that a recovered machine serves.

A check is a dictionary: `name`, `kind`, `timeout` and `interval` (seconds), `required`, and the keys of its kind. Each is tried until it
passes, its time is over, or trying on is pointless: it is wrong itself, the guest has ended, or has given up booting.
"""

import os
import time

from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Dict, NamedTuple, Tuple

from ..errors import RecoveryError, TargetError
from ..target import qemu
from ..target.qemu_command import CONSOLE_LOG
from ..target.qemu_console import fatal_text, find_fatal, is_silent, last_lines
from ..target.qemu_screen import read_text_screen
from .check_console import attempt_console
from .check_model import CheckFailed, CheckResult
from .check_network import attempt_http, attempt_ssh, attempt_tcp, run_program
from .check_sql import attempt_sql

COMMON = {"timeout": 300, "interval": 3, "required": True}
_PARALLEL = 16


class Kind(NamedTuple):
    attempt: Callable                   # (check, target, deadline) -> detail; raises CheckFailed to be tried again
    needs: Tuple[str, ...]
    options: Dict[str, object]          # key -> default


def attempt_command(check, target, deadline):
    """Runs a program on this host. It finds the machine in the environment: DR_CHECK_HOST, and DR_CHECK_PORT where `port` is given."""
    environment = dict(os.environ)
    if check["port"]:
        host, port = target.endpoint(check["port"])
        environment.update(DR_CHECK_HOST=host, DR_CHECK_PORT=str(port))
    elif target.address:
        environment.update(DR_CHECK_HOST=target.address)
    return run_program(check["argv"], check, deadline, environment)


_TEXT = {"contains": (), "regex": ""}
KINDS = {
    "console": Kind(attempt_console, (), dict(_TEXT, pattern="", user="", password="", command="")),
    "tcp": Kind(attempt_tcp, ("port",), {"send": "", "regex": ""}),
    "http": Kind(attempt_http, (), dict(
        _TEXT, port=80, path="/", host="", status=200, tls=False, verify_tls=True, json_query="", json_value=None)),
    "sql": Kind(attempt_sql, ("user", "query"),
                {"engine": "postgresql", "port": 0, "password": "", "database": "", "rows": None, "value": None, "row_count": None}),
    "ssh": Kind(attempt_ssh, (), dict(_TEXT, port=22, user="", key_file="", command="")),
    "command": Kind(attempt_command, ("argv",), dict(_TEXT, port=0)),
}


def complete_check(check):
    """The check with the defaults of its kind; None counts as not given. Raises TargetError for unknown or missing keys."""
    given = {key: value for key, value in check.items() if value is not None}
    kind = KINDS.get(given.get("kind"))
    if kind is None:
        name, wrong = given.get("name", ""), given.get("kind")
        raise TargetError(f"Check {name!r} has kind {wrong!r}, which is not one of {', '.join(sorted(KINDS))}.")
    name = given.setdefault("name", given["kind"])
    missing = [key for key in kind.needs if key not in given]
    if missing:
        raise TargetError(f"Check {name!r} of kind {given['kind']} lacks {', '.join(missing)}.")
    known = {"name", "kind"} | set(COMMON) | set(kind.needs) | set(kind.options)
    unknown = sorted(set(given) - known)
    if unknown:
        raise TargetError(f"Check {name!r} of kind {given['kind']} does not know {', '.join(unknown)}.")
    return dict(COMMON, **dict(kind.options, **given))


def run_checks(checks, target):
    """Runs all checks at once. Returns a list of CheckResult in their order. Raises TargetError where one is described wrongly."""
    complete = [complete_check(check) for check in checks]
    if not complete:
        return []
    with ThreadPoolExecutor(min(_PARALLEL, len(complete))) as pool:
        return list(pool.map(lambda check: run_check(check, target), complete))


def run_check(check, target):
    """Tries one check until it passes or must be given up. Returns CheckResult. Raises TargetError where it is described wrongly."""
    check = complete_check(check)
    attempt = KINDS[check["kind"]].attempt
    began = time.monotonic()
    deadline = began + check["timeout"]
    attempts, passed = 0, False
    while True:
        attempts += 1
        try:
            detail, passed = attempt(check, target, deadline), True
            break
        except CheckFailed as error:
            detail = str(error)
        except RecoveryError as error:
            detail = str(error)
            break
        reason = _pointless(target)
        if reason:
            detail = f"{reason}; last attempt: {detail}"
            break
        if time.monotonic() + check["interval"] >= deadline:
            break
        time.sleep(check["interval"])
    return CheckResult(check["name"], check["kind"], passed, _without_secrets(detail, check), round(time.monotonic() - began, 1), attempts,
                       check["required"], time.time())


def _pointless(target):
    """Why another attempt cannot help, "": it can."""
    if not target.run_dir:
        return ""
    log = os.path.join(target.run_dir, CONSOLE_LOG)
    if qemu.find(target.run_dir) is None:
        return f"the guest is not running any more; its console's last lines: {last_lines(log) or 'none'}"
    fatal = fatal_text(log) or (_fatal_screen(target.run_dir) if is_silent(log) else "")
    return f"the machine has given up booting: {fatal}" if fatal else ""


def _fatal_screen(run_dir):
    """The last lines of the text screen where they say that the machine has given up; "" where they do not, or there is no such screen."""
    try:
        text = read_text_screen(run_dir)
    except (RecoveryError, OSError):
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-3:]) if find_fatal("\n".join(lines[-3:])) else ""


def _without_secrets(text, check):
    password = check.get("password")
    return text.replace(password, "********") if password else text
