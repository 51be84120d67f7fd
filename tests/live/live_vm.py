# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A virtual machine in QEMU that is reached over SSH, as servers in a data centre are."""

import os
import shutil
import socket
import subprocess
import time

BOOT_PATIENCE = 1800       # seconds: emulated, on a busy machine


class Vm:
    """`disks`: paths of raw files, in order. `bus` and `nic` are the hardware that the guest sees."""

    BUSES = {
        "virtio-scsi": (["-device", "virtio-scsi-pci,id=bus0"], "scsi-hd,bus=bus0.0,drive=disk{0},serial=live-{0}"),
        "virtio-blk": ([], "virtio-blk-pci,drive=disk{0},serial=live-{0}"),
        "ahci": (["-device", "ich9-ahci,id=bus0"], "ide-hd,bus=bus0.{0},drive=disk{0},serial=live-{0}"),
    }

    def __init__(self, folder, disks, key, bus, nic="virtio-net-pci", share=""):
        os.makedirs(folder, exist_ok=True)
        self.console = os.path.join(folder, "console.log")
        self.key = key
        self.ssh_port, self.sql_port = free_port(), free_port()
        controllers, device = self.BUSES[bus]
        self._command = [
            "qemu-system-x86_64", "-nodefaults", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024",
            "-display", "none", "-serial", "file:" + self.console, "-device", "virtio-rng-pci",
            "-nic", f"user,model={nic},hostfwd=tcp:127.0.0.1:{self.ssh_port}-:22,hostfwd=tcp:127.0.0.1:{self.sql_port}-:5432",
        ] + controllers
        for number, path in enumerate(disks):
            self._command += ["-drive", f"file={path},if=none,id=disk{number},format=raw,cache=unsafe", "-device", device.format(number)]
        if share:
            self._command += ["-virtfs", f"local,path={share},mount_tag=share,security_model=none"]
        self._process = None

    def __enter__(self):
        # Its own process group, so that Ctrl-C is for the test, which then ends it.
        self._process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL"] + self._command, stdin=subprocess.DEVNULL,
                                         start_new_session=True)
        return self

    def __exit__(self, *exc_info):
        self._process.kill()
        self._process.wait()

    def wait_for_ssh(self):
        deadline = time.monotonic() + BOOT_PATIENCE
        while True:
            assert self._process.poll() is None, "QEMU ended: " + self.tail()
            if self.ssh("true", check=False, timeout=60).returncode == 0:
                return
            assert time.monotonic() < deadline, "no SSH; the console ends: " + self.tail()
            time.sleep(3)

    def ssh(self, command, check=True, timeout=600):
        done = subprocess.run(self._ssh(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              universal_newlines=True, timeout=timeout, check=False)
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done

    def popen(self, command):
        """The command runs beside the test."""
        return subprocess.Popen(self._ssh(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                universal_newlines=True)

    def _ssh(self, command):
        return ["ssh", "-p", str(self.ssh_port)] + self.ssh_options() + ["root@127.0.0.1", command]

    def ssh_options(self):
        return ["-i", self.key, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
                "-o", "ConnectTimeout=20", "-o", "BatchMode=yes"]

    def power_off(self):
        """Shut down in an orderly way."""
        self.ssh("systemctl poweroff", check=False)
        self._process.wait(timeout=BOOT_PATIENCE)

    def tail(self):
        with open(self.console, encoding="utf-8", errors="replace") as file:
            return file.read()[-3000:]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def copy_disks(source, folder):
    """Copies of the built disks, to be written to; their paths in order."""
    os.makedirs(folder)
    paths = []
    for name in sorted(os.listdir(source)):
        paths.append(os.path.join(folder, name))
        subprocess.run(["cp", "--sparse=always", os.path.join(source, name), paths[-1]], check=True)
    return paths


def tools_present():
    return all(shutil.which(tool) for tool in ("qemu-system-x86_64", "ssh", "mmdebstrap"))
