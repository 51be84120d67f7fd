# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The QMP client against a server on a real UNIX socket."""

import json
import os
import socket
import threading

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.target.qmp import Qmp, QmpError, connect_unix

GREETING = {"QMP": {"version": {}, "capabilities": []}}


@pytest.fixture
def serve(tmp_path):
    """Starts a server that answers each line with the next of the given byte strings; also in a directory too deep for a socket address."""
    folder = tmp_path / ("d" * 100) / ("e" * 100)
    folder.mkdir(parents=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    handle = os.open(str(folder), os.O_RDONLY)
    listener.bind(f"/proc/self/fd/{handle}/qmp.sock")
    os.close(handle)
    listener.listen(1)
    requests = []

    def run(greeting, answers):
        connection, _address = listener.accept()
        with connection, connection.makefile("rb") as lines:
            connection.sendall(greeting)
            for answer in answers:
                requests.append(json.loads(lines.readline().decode()))
                connection.sendall(answer)

    def start(answers, greeting=json.dumps(GREETING).encode() + b"\r\n"):
        thread = threading.Thread(target=run, args=(greeting, answers), daemon=True)
        thread.start()
        return str(folder), requests

    yield start
    listener.close()


def test_commands_and_events(serve):
    folder, requests = serve([b'{"return": {}}\r\n', b'{"event": "STOP"}\r\n\r\n{"event": "X"}\n{"return": {"running": true}}\r\n'])
    with Qmp(folder, "qmp.sock", timeout=5) as qmp:
        assert qmp.execute("query-status", verbose=True) == {"running": True}
    assert requests == [{"execute": "qmp_capabilities"}, {"execute": "query-status", "arguments": {"verbose": True}}]


def test_refused_commands(serve):
    folder, _requests = serve([b'{"return": {}}\n', b'{"error": {"class": "GenericError", "desc": "no"}}\n'])
    with Qmp(folder, "qmp.sock", timeout=5) as qmp:
        with pytest.raises(QmpError, match="refused 'quit': no") as caught:
            qmp.execute("quit")
    assert (caught.value.kind, caught.value.description) == ("GenericError", "no")


def test_silence_and_an_early_end_are_told(serve):
    folder, _requests = serve([], greeting=b"")
    with pytest.raises(TargetError, match="closed"):
        Qmp(folder, "qmp.sock", timeout=5)
    # nobody accepts now
    with pytest.raises(TargetError, match="did not answer"):
        Qmp(folder, "qmp.sock", timeout=0.2)


def test_nothing_listens(tmp_path):
    with pytest.raises(OSError):
        connect_unix(str(tmp_path), "qmp.sock", 1.0)
