# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An SSH server for hosts that are reached as real ones are."""

import os
import shutil
import signal
import socket
import subprocess
import time


class SshServer:
    """An OpenSSH server of our own on the loopback interface, that can be cut off with all its connections."""

    def __init__(self, folder):
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], stdin=subprocess.DEVNULL, check=True)
        os.makedirs("/run/sshd", exist_ok=True)
        self.key = str(folder / "user")
        self.process = None

    def start(self):
        options = {"Port": self.port, "ListenAddress": "127.0.0.1", "HostKey": self.folder / "host", "PidFile": "none", "StrictModes": "no",
                   "AuthorizedKeysFile": self.folder / "user.pub", "UsePAM": "no", "Subsystem": "sftp internal-sftp",
                   "PermitRootLogin": "prohibit-password"}
        arguments = [part for name, value in options.items() for part in ("-o", "{0}={1}".format(name, value))]
        self.process = subprocess.Popen([shutil.which("sshd"), "-D", "-e", "-f", "/dev/null"] + arguments,
                                        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not self._answers():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def _answers(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def cut(self):
        """End the server and every connection: sshd's processes for connections are its children, in sessions of their own."""
        children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], stdout=subprocess.PIPE, check=False).stdout.split()
        self.process.kill()
        self.process.wait()
        for child in children:
            try:
                os.kill(int(child), signal.SIGKILL)
            except ProcessLookupError:
                pass

    def variables(self):
        """What the inventory says of a host behind it, whose Python is named by somebody else."""
        return {
            "ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": self.port, "ansible_user": "root",
            "ansible_ssh_private_key_file": self.key, "ansible_python_interpreter": "/nonexistent",
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ControlPath=/tmp/cm-%C"}
