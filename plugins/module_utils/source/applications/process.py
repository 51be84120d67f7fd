# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands of hooks: run as a user, in a process group of their own, for a limited time, with a bounded output."""

# The library knows no AnsibleModule, whose run_command the rule asks for.
# pylint: disable=ansible-bad-function

import os
import pwd
import select
import signal
import subprocess
import time

OUTPUT_LIMIT = 1 << 20     # bytes of a command's output that are kept, its end
_SHOWN = 2048              # of them, in a message
_GRACE = 3.0               # seconds between asking a command to end and killing it
_LOOK_SECONDS = 0.1


class HookError(Exception):
    """What went wrong with a hook, in words that follow the hook's name."""


class Runner:
    """Starts and awaits commands. `lost`: a descriptor that becomes readable when nobody waits for the hooks any more, or None."""

    def __init__(self, lost=None):
        self.lost = lost

    def is_lost(self):
        return self.lost is not None and bool(select.select([self.lost], [], [], 0)[0])

    def run(self, command, timeout, user="", data=b""):
        """What the command printed, at most its last mebibyte. `data` goes to its standard input (less than a pipe holds, 64 KiB).

        `command` is a list of arguments, or a text for /bin/sh. Raises HookError: it cannot be started, failed, or took longer
        than `timeout` seconds; then its whole process group has been killed.
        """
        session = Session(self, command, user)
        session.send(data)
        session.close_input()
        return session.wait(timeout)


class Session:
    """A running command whose standard input is ours."""

    def __init__(self, runner, command, user=""):
        self._runner = runner
        self._output = b""
        arguments = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        self._name = os.path.basename(arguments[0])
        environment, become = _identity(user)
        try:
            self._process = subprocess.Popen(
                arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0, cwd="/",
                env=environment, start_new_session=True, preexec_fn=become)
        except (OSError, subprocess.SubprocessError) as error:
            # Python 3.6 adds the name to the words of the system.
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
            raise HookError(f"{self._name} cannot be run: {reason}")
        os.set_blocking(self._process.stdout.fileno(), False)

    def send(self, data):
        """Raises nothing: a command that reads no more has ended, and `expect` or `wait` tell why."""
        try:
            self._process.stdin.write(data)
        except BrokenPipeError:
            pass

    def close_input(self):
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass

    def expect(self, line, timeout):
        """What is printed up to this line. Raises HookError when the command ends before, or takes longer."""
        end = line.encode("utf-8") + b"\n"
        self._await(timeout, lambda: end in self._output or self._process.poll() is not None)
        if end not in self._output:
            raise HookError(f"{self._name} ended too early (status {self._process.returncode}){self._said()}")
        found, self._output = self._output.split(end, 1)
        return found.decode("utf-8", "replace")

    def wait(self, timeout):
        """Await its end; what it printed. Raises HookError when it failed or took longer."""
        self._await(timeout, lambda: self._process.poll() is not None)
        if self._process.returncode != 0:
            raise HookError(f"{self._name} failed (status {self._process.returncode}){self._said()}")
        return self._output.decode("utf-8", "replace")

    def stop(self):
        """End the whole process group, if its leader has not ended by itself."""
        if self._process.poll() is not None:
            return
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self._process.pid, signal.SIGKILL)      # also what the leader has left
        except ProcessLookupError:
            pass
        self._process.wait()

    def _await(self, timeout, condition):
        """Read what is printed until the condition holds. A process that the command left behind may keep the output open."""
        deadline = time.monotonic() + timeout
        output = [self._process.stdout]
        while True:
            held = condition()
            ready = select.select(output, [], [], 0 if held else _LOOK_SECONDS)[0]
            if ready and not self._read():
                output = []
            elif held:
                return
            elif self._runner.is_lost():
                self.stop()
                raise HookError(f"{self._name} was stopped with the capture")
            elif time.monotonic() > deadline:
                self.stop()
                raise HookError(f"{self._name} took longer than {timeout:g} s and was stopped{self._said()}")

    def _read(self):
        try:
            data = os.read(self._process.stdout.fileno(), 65536)
        except BlockingIOError:
            return True
        self._output = (self._output + data)[-OUTPUT_LIMIT:]
        return bool(data)

    def _said(self):
        text = self._output[-_SHOWN:].decode("utf-8", "replace").strip()
        return ": " + text if text else ", and printed nothing"


def _identity(user):
    """(environment, function that makes the calling process that user, or None for the user that we are)."""
    try:
        entry = pwd.getpwnam(user) if user else pwd.getpwuid(os.geteuid())
    except KeyError:
        raise HookError(f"there is no user {user or os.geteuid()} on this host")
    environment = dict(os.environ, HOME=entry.pw_dir, USER=entry.pw_name, LOGNAME=entry.pw_name)
    if entry.pw_uid == os.geteuid():
        return environment, None

    def become():
        os.initgroups(entry.pw_name, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)

    return environment, become
