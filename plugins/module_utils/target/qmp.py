# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A client for the QEMU Machine Protocol (QMP) on a UNIX socket.

Protocol: docs/interop/qmp-spec in the QEMU sources: one JSON object a line, a greeting, capabilities negotiation, then commands.
"""

import json
import os
import socket
import time

from ..errors import TargetError


class QmpError(TargetError):
    """QEMU refused a command. `kind` is QMP's error class, `description` its text."""

    def __init__(self, command, kind, description):
        super(QmpError, self).__init__(f"QEMU refused {command!r}: {description}")
        self.kind = kind
        self.description = description


def connect_unix(directory, name, timeout):
    """Returns a stream socket connected to the socket file `name` in `directory`.

    The path goes through /proc/self/fd because a UNIX socket address holds 107 bytes only and run directories may be deeper.
    Raises OSError.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            connection.connect(f"/proc/self/fd/{folder}/{name}")
        finally:
            os.close(folder)
    except BaseException:
        connection.close()
        raise
    return connection


class Qmp:
    """A connection to one QEMU; a context manager. QEMU serves one client at a time, so hold it only for a moment.

    :param timeout: seconds that any single answer may take.
    Raises OSError where nothing listens, TargetError where QEMU does not answer in time.
    """

    def __init__(self, directory, name, timeout=10.0):
        self._socket = connect_unix(directory, name, timeout)
        self._timeout = timeout
        self._pending = b""
        try:
            self._read_until("QMP")
            self.execute("qmp_capabilities")
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_unused):
        self.close()

    def close(self):
        self._socket.close()

    def execute(self, command, **arguments):
        """Runs one command and returns its result. Raises QmpError where QEMU refuses it."""
        request = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        try:
            self._socket.sendall(json.dumps(request).encode("utf-8") + b"\n")
        except OSError as error:
            raise TargetError(f"QEMU closed its control socket during {command!r}: {error}.") from error
        answer = self._read_until("return", "error")
        if "error" in answer:
            raise QmpError(command, answer["error"].get("class", ""), answer["error"].get("desc", ""))
        return answer["return"]

    def _read_until(self, *keys):
        """The next message that has one of the keys; events in between are dropped."""
        deadline = time.monotonic() + self._timeout
        while True:
            line, newline, rest = self._pending.partition(b"\n")
            if newline:
                self._pending = rest
                message = json.loads(line.decode("utf-8")) if line.strip() else {}
                if any(key in message for key in keys):
                    return message
                continue
            try:
                self._socket.settimeout(max(0.01, deadline - time.monotonic()))
                data = self._socket.recv(65536)
            except socket.timeout:
                raise TargetError(
                    f"QEMU did not answer on its control socket within {self._timeout:g} s; it hangs, or another program holds the socket.")
            except OSError as error:
                raise TargetError(f"QEMU's control socket failed: {error}.") from error
            if not data:
                raise TargetError("QEMU closed its control socket.")
            self._pending += data
