# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A dialog with a machine over its serial console: log in as a person would, run a command, log out.

Made for slow, noisy consoles: kernel messages may stand between any two characters of a dialogue, shells send escape codes, logins take
minutes under emulation. Only one client can hold the console at a time; a lock file keeps others of ours waiting.
"""

import contextlib
import fcntl
import os
import re
import select
import time
import uuid

from ..target.qemu_command import CONSOLE_LOCK, SERIAL_SOCKET
from ..target.qemu_console import TerminalText
from ..target.qmp import connect_unix
from .check_model import CheckFailed, excerpt

LOGIN_PROMPT = r"(?<!Last )login: *"       # not the greeting "Last login: ..."
_PASSWORD = r"[Pp]assword: *"
_REFUSED = r"Login incorrect|Authentication failure|Permission denied|Account locked"
_EXPIRED = r"You are required to change your password|Current password:|New password:|Your account has expired"
_SHELL = r"[#$%>] ?\Z"
# Programs that ask for a password throw away what was typed before they asked; the prompt can be seen a moment earlier.
_TYPING_DELAY = 0.3
_STEP_SECONDS = 60.0
_ASK_AGAIN = 3.0


@contextlib.contextmanager
def open_console(run_dir, deadline):
    """Connects to a guest's serial console. Yields a Dialog. Raises CheckFailed."""
    with open(os.path.join(run_dir, CONSOLE_LOCK), "a", encoding="ascii") as lock:
        _wait_for_lock(lock, deadline)
        try:
            connection = connect_unix(run_dir, SERIAL_SOCKET, 10.0)
        except OSError as error:
            raise CheckFailed(f"the console cannot be opened: {error}") from error
        with contextlib.closing(connection):
            yield Dialog(connection)


def _wait_for_lock(lock, deadline):
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError:
            if time.monotonic() >= deadline:
                raise CheckFailed("another check held the console all the time")
            time.sleep(0.2)


class Dialog:
    """Sends lines and waits for answers. All deadlines are values of time.monotonic()."""

    def __init__(self, connection):
        self._connection = connection
        self._terminal = TerminalText()
        self._text = ""

    def send(self, line):
        self._write(line.encode("utf-8") + b"\r")

    def _write(self, data):
        self._connection.settimeout(10.0)
        try:
            self._connection.sendall(data)
        except OSError as error:
            raise CheckFailed(f"the console takes no input: {error}") from error

    def expect(self, patterns, deadline):
        """Waits for the first of the regular expressions. Returns (index, match), or (-1, None) at the deadline; forgets what it passed.

        Where several match, the one that begins first in the text wins.
        """
        expressions = [re.compile(pattern, re.MULTILINE) for pattern in patterns]
        while True:
            matches = [(index, expression.search(self._text)) for index, expression in enumerate(expressions)]
            found = [(index, match) for index, match in matches if match]
            if found:
                index, match = min(found, key=lambda item: (item[1].start(), item[0]))
                self._text = self._text[match.end():]
                return index, match
            left = deadline - time.monotonic()
            if left <= 0:
                return -1, None
            if select.select([self._connection], [], [], min(left, 1.0))[0]:
                self._read()

    def _read(self):
        try:
            data = self._connection.recv(65536)
        except OSError as error:
            raise CheckFailed(f"the console broke off: {error}") from error
        if not data:
            raise CheckFailed("the guest closed its console")
        self._text = (self._text + self._terminal.feed(data))[-(1 << 20):]

    def login(self, user, password, prompt, deadline):
        """Logs in and makes the shell quiet. Raises CheckFailed: not yet, or refused."""
        self._reach_prompt(prompt, deadline)
        time.sleep(_TYPING_DELAY)
        self.send(user)
        step, _match = self.expect([_PASSWORD, _SHELL], _step(deadline))
        if step < 0:
            raise CheckFailed(f"no password prompt came after the user name; the console shows: {excerpt(self._text)}")
        if step == 0:
            time.sleep(_TYPING_DELAY)
            self.send(password)
        self._settle(user, prompt, deadline)

    def _reach_prompt(self, prompt, deadline):
        """A prompt that was printed before we came is not repeated by itself; Enter brings it back.

        A dialog that broke off may have left a shell open, without a prompt, even with a command in it. Interrupt and end of file get rid of
        both, and getty takes them for a wish to begin anew.
        """
        while time.monotonic() < deadline:
            self.send("")
            step, _match = self.expect([prompt, _SHELL], min(deadline, time.monotonic() + 10.0))
            if step == 0:
                return
            self._write(b"\x03\x04")
        raise CheckFailed("no login prompt on the console")

    def _settle(self, user, prompt, deadline):
        """Proves that a shell listens, and turns off what would garble its output.

        A shell's prompt may drown in kernel messages, so it is only a hint to ask soon. What is typed before the shell listens can be lost,
        so asking is repeated. Markers are sent in two parts: their echo never matches.
        """
        token = uuid.uuid4().hex[:8]
        until = _step(deadline)
        while time.monotonic() < until:
            step, match = self.expect([f"ready-{token}", _REFUSED, _EXPIRED, prompt, _SHELL], min(until, time.monotonic() + _ASK_AGAIN))
            if step == 0:
                return
            if 1 <= step <= 3:
                raise CheckFailed(f"the login of {user!r} was not accepted: {match.group(0).strip()}")
            self.send(f"PS1=; PS2=; PROMPT_COMMAND=; stty -echo; printf '%s%s\\n' ready- {token}")
            time.sleep(_TYPING_DELAY)
        raise CheckFailed(f"no shell came up for {user!r}; the console shows: {excerpt(self._text)}")

    def run(self, command, deadline):
        """Runs a command in the shell. Returns (status, output). Kernel messages may stand in the output."""
        token = uuid.uuid4().hex[:8]
        self.send(f"printf '%s%s\\n' begin- {token}")
        self.send(f"( {command}")
        self.send(f") </dev/null 2>&1; printf '\\n%s%s=%s.\\n' end- {token} \"$?\"")
        step, match = self.expect([f"begin-{token}\n((?s:.*?))\n?end-{token}=([0-9]+)\\."], deadline)
        if step < 0:
            raise CheckFailed(f"the command did not end in time; the console shows: {excerpt(self._text)}")
        return int(match.group(2)), match.group(1)

    def logout(self, prompt, deadline):
        """Leaves the console as it was found, if the guest lets us."""
        self.send("exit")
        self.expect([prompt], deadline)


def _step(deadline):
    return min(deadline, time.monotonic() + _STEP_SECONDS)
