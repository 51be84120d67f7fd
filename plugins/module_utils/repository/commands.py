# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands that give a key: a password store that prints a passphrase, a key service or token that unwraps a secret.

A command is a program with its arguments, run without a shell on the host that opens the repository. Secrets go over standard input
and output only. Commands are always named by who opens the repository; none is ever taken from the repository.
"""

# The library knows no AnsibleModule, whose run_command the rule asks for.
# pylint: disable=ansible-bad-function

import os
import signal
import subprocess
from typing import Sequence

from ..errors import KeyAccessError
from .keys import Passphrase

SECONDS = 60
_MAX_OUTPUT = 16 << 10
_MAX_MESSAGE = 200


def passphrase_from(command: Sequence[str]) -> Passphrase:
    """The passphrase that a command prints, without the line's end. Raises KeyAccessError."""
    try:
        text = run_command(command).decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise KeyAccessError(f"The key command {command[0]} printed a passphrase that is not UTF-8.")
    if not text:
        raise KeyAccessError(f"The key command {command[0]} printed no passphrase.")
    return Passphrase(text)


def run_command(command: Sequence[str], data: bytes = b"") -> bytes:
    """What a command prints (at most 16 KiB) when it is given `data` on standard input.

    Raises KeyAccessError when it cannot be run, fails, prints too much, or does not end within SECONDS; it is killed then, with its
    children.
    """
    if not command or not command[0]:
        raise KeyAccessError("The key command is empty; give a program and its arguments as a list.")
    name = command[0]
    try:
        process = subprocess.Popen(list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   start_new_session=True)
    except (OSError, ValueError) as error:
        raise KeyAccessError(f"The key command {name} cannot be run on this host: {getattr(error, 'strerror', None) or error}.")
    with process:
        try:
            output, complaint = process.communicate(data, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            raise KeyAccessError(f"The key command {name} did not end within {SECONDS} seconds. Does it wait for an answer? There is no "
                                 "terminal for it.")
        finally:
            _kill_group(process.pid)
    if process.returncode:
        lines = complaint.decode("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it says nothing")
        raise KeyAccessError(f"The key command {name} failed with status {process.returncode}: {last[:_MAX_MESSAGE]}")
    if len(output) > _MAX_OUTPUT:
        raise KeyAccessError(f"The key command {name} printed {len(output)} bytes; a key or wrapped key is no longer than {_MAX_OUTPUT}.")
    return output


def _kill_group(leader: int) -> None:
    """End what is left of the command: itself, and children that stayed."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
