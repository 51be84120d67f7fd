# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The console dialog against a scripted terminal with noise, and its lock. The real getty and login: tests/system/runbook."""

import re
import socket
import threading
import time

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.runbook import console
from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.check_model import CheckFailed
from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.console import LOGIN_PROMPT, Dialog, open_console


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(console, "_ASK_AGAIN", 0.2)
    monkeypatch.setattr(console, "_TYPING_DELAY", 0.05)


class Terminal(threading.Thread):
    """Plays getty, login and a shell on one end of a socket pair."""

    def __init__(self, password="secret", refuse="Login incorrect", deaf=0):
        super(Terminal, self).__init__(daemon=True)
        self.ours, self._line = socket.socketpair()
        self._password, self._refuse, self._deaf = password, refuse, deaf
        self.heard = []
        self.start()

    def say(self, text):
        for start in range(0, len(text), 5):                      # in small pieces, as a UART does
            self._line.sendall(text[start:start + 5].encode())

    def hear(self):
        line = b""
        while not line.endswith(b"\r"):
            data = self._line.recv(1)
            if not data:
                raise SystemExit
            line += data
        self.heard.append(line[:-1].decode())
        return self.heard[-1]

    def run(self):
        try:
            self.serve()
        except (OSError, SystemExit):
            pass

    def serve(self):
        while True:
            self.say("\r\n\x1b[0mDebian GNU/Linux shop ttyS0\r\n\r\nshop login: [   12.3] random: crng init done\r\n")
            user = self.hear()
            if not user:
                continue
            self.say(user + "\r\nPassword: ")
            if self.hear() != self._password:
                self.say(f"\r\n{self._refuse}\r\n")
                continue
            self.say("\r\nLast login: Sun Nov 22 on ttyS0\r\n\x1b[?2004h\x1b]0;shop\x07root@shop:~# [   30.1] eth0: link up\r\n")
            self.shell()

    def shell(self):
        for _number in range(self._deaf):
            self.hear()                                           # typed before the shell listened: lost
        while True:
            line = self.hear()
            self.say(line + "\r\n")                               # the echo must never count as the answer
            if line == "exit":
                return
            marker = re.search(r"printf '(?:\\n)?%s%s\S*' (\S+) (\S+)", line)
            if marker:
                self.say("\r\n" + "".join(marker.groups()) + ("=0.\r\n" if marker.group(1) == "end-" else "\r\n"))
            elif line.startswith("("):
                self.say("active\r\n[   31.0] noise\r\n")


def soon(seconds=20.0):
    return time.monotonic() + seconds


def test_login_command_logout():
    terminal = Terminal()
    dialog = Dialog(terminal.ours)
    dialog.login("root", "secret", LOGIN_PROMPT, soon())
    status, output = dialog.run("systemctl is-active nginx", soon())
    assert status == 0 and "active" in output.splitlines()
    dialog.logout(LOGIN_PROMPT, soon())
    assert terminal.heard.count("root") == 1 and terminal.heard.count("secret") == 1
    dialog.login("root", "secret", LOGIN_PROMPT, soon())          # left as it was found


def test_what_is_typed_too_early_is_typed_again():
    Dialog(Terminal(deaf=2).ours).login("root", "secret", LOGIN_PROMPT, soon())


@pytest.mark.parametrize("refuse", ["Login incorrect", "You are required to change your password immediately"])
def test_a_refused_login(refuse):
    with pytest.raises(CheckFailed, match="was not accepted"):
        Dialog(Terminal(password="other", refuse=refuse).ours).login("root", "secret", LOGIN_PROMPT, soon())


def test_a_silent_console():
    ours, theirs = socket.socketpair()
    with pytest.raises(CheckFailed, match="no login prompt"):
        Dialog(ours).login("root", "secret", LOGIN_PROMPT, soon(0.3))
    theirs.close()
    with pytest.raises(CheckFailed, match="closed its console|takes no input"):
        Dialog(ours).login("root", "secret", LOGIN_PROMPT, soon(5))


def test_the_first_match_in_the_text_wins():
    ours, theirs = socket.socketpair()
    theirs.sendall(b"b then a then b")
    dialog = Dialog(ours)
    assert dialog.expect(["a", "b"], soon())[0] == 1
    assert dialog.expect(["a", "b"], soon())[0] == 0
    assert dialog.expect(["a"], soon(0.1)) == (-1, None)


def test_a_console_that_is_not_there(tmp_path):
    with pytest.raises(CheckFailed, match="cannot be opened"):
        with open_console(str(tmp_path), soon()):
            pass
