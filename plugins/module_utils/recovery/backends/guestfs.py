# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mounts in a small virtual machine: libguestfs, through guestfish. For LVM, MD, LUKS, and what neither kernel nor FUSE can mount here.

One appliance is started, asked and mounted from; it stays as long as the mount. guestmount(1) would have to be started once to look and
once to mount, some 12 s each where KVM is not to be had. No file system of the machine is parsed by the worker's kernel.
"""

# The library knows no AnsibleModule, whose run_command the rule asks for.
# pylint: disable=ansible-bad-function

import os
import re
import shutil
import subprocess
import tempfile
import time

from ...errors import MachineError, TargetError
from ...machine.model import Content
from ...target import qemu_probe
from .. import processes, syscalls
from ..luks import opened_names
from ..model import ROOT_KINDS, CannotMount, MountedVolume, Volume, refuse_incomplete

NAME = "guestfs"
PACKAGES = ("libguestfs-tools with libguestfs-xfs and a kernel package (Debian, Ubuntu), "
            "libguestfs and guestfs-tools (Red Hat and its relatives), guestfs-tools (SUSE)")
_SHUTDOWN_PATIENCE = 300.0  # seconds; the appliance writes back its cache
_MOUNT_PATIENCE = 60.0
_ERROR = "libguestfs: error: "
_KINDS = {"crypto_LUKS": "luks", "LVM2_member": "lvm2", "linux_raid_member": "md"}     # as libblkid calls them, and as we do


def is_installed():
    return shutil.which("guestfish") is not None


class Appliance:
    """A running appliance. Every command is one short-lived guestfish that talks to the server with the number `pid`.

    :param secrets: descriptor of a pipe from which the server reads keys, None if it was started by another process.
    """

    def __init__(self, tag, pid, log, secrets=None):
        self.tag = tag
        self.pid = pid
        self.log = log
        self._secrets = secrets

    @classmethod
    def start(cls, session, paths):
        """Starts it with the disks at `paths`, in this order. Raises TargetError."""
        if not is_installed():
            raise TargetError(f"guestfish is not installed on the worker: install {PACKAGES}.")
        log = session.state.log
        command = ["guestfish", "--listen", "--keys-from-stdin", "--format=raw"] + (["--ro"] if session.untouched else [])
        for path in paths:
            command += ["-a", path]
        keys, secrets = os.pipe()
        with open(log, "wb") as errors, tempfile.TemporaryFile() as said, open(keys, "rb") as stdin:
            done = subprocess.run(command, stdin=stdin, stdout=said, stderr=errors, env=_environment(session.tag), cwd="/",
                                  start_new_session=True, check=False)
            said.seek(0)
            found = re.search(rb"GUESTFISH_PID=(\d+)", said.read())
        if done.returncode != 0 or not found:
            os.close(secrets)
            raise TargetError(f"guestfish did not start: {_tail(log)}")
        appliance = cls(session.tag, int(found.group(1)), log, secrets)
        session.update(appliance=appliance.pid)
        appliance.run("run")
        return appliance

    def run(self, *command, timeout=None):
        """The output of one command. Raises TargetError with what libguestfs says.

        With a "-" in front the server survives a failed command, and its exit status says nothing: the server's log does.
        """
        before = os.path.getsize(self.log)
        try:
            done = subprocess.run(self._client("-" + command[0], *command[1:]), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, env=_environment(self.tag), timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            raise TargetError(f"libguestfs did not finish the command {command[0]} within {timeout:g} s.") from None
        with open(self.log, encoding="utf-8", errors="replace") as stream:
            stream.seek(before)
            said = stream.read()
        if done.returncode != 0 or _ERROR in said:
            reason = said[said.find(_ERROR) + len(_ERROR):] if _ERROR in said else done.stderr.decode("utf-8", "replace")
            raise TargetError(f"libguestfs: {' '.join(reason.split())[:300]}")
        return done.stdout.decode("utf-8", "surrogateescape")

    def open_luks(self, device, secret, name):
        """Opens a LUKS volume as /dev/mapper/`name` with a key, which is in no command line. Tells whether the key fits."""
        os.write(self._secrets, os.fsencode(secret) + b"\n")
        try:
            self.run("cryptsetup-open", device, name)
        except TargetError as error:
            if "No key available" in str(error):        # cryptsetup(8), exit status 2
                return False
            raise
        return True

    def forget_secrets(self):
        """Ends the way on which keys come."""
        if self._secrets is not None:
            os.close(self._secrets)
            self._secrets = None

    def says(self, *command):
        """The answer to a yes-or-no question."""
        return self.run(*command).strip() == "true"

    def mount_local(self, session, folder):
        """Shows what is mounted inside at `folder` on the worker, until that is unmounted."""
        self.run("mount-local", folder, "options:nosuid,nodev,noexec", f"readonly:{'true' if session.untouched else 'false'}")
        client = subprocess.Popen(self._client("-mount-local-run"), env=_environment(self.tag), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        processes.children.add(client.pid)
        deadline = time.monotonic() + _MOUNT_PATIENCE
        while syscalls.mount_at(folder) is None or not os.listdir(folder):
            if client.poll() is not None or time.monotonic() > deadline:
                raise TargetError(f"libguestfs did not mount at {folder}: {_tail(self.log)}")
            time.sleep(0.05)

    def stop(self):
        """Writes everything to the disks and ends the appliance. Raises TargetError if that failed."""
        try:
            self.run("shutdown", timeout=_SHUTDOWN_PATIENCE)
        finally:
            subprocess.run(self._client("exit"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           env=_environment(self.tag), check=False)

    def _client(self, *command):
        return ["guestfish", f"--remote={self.pid}", "--"] + list(command)


class ApplianceHands:
    """Assembles a machine inside an appliance; the same interface as local.LocalHands."""

    def __init__(self, session, volumes, paths, keys):
        self._session = session
        self._appliance = Appliance.start(session, paths)
        known = _known(volumes, paths)
        try:
            self._opened = _open_all(self._appliance, keys, known)
        finally:
            self._appliance.forget_secrets()
        members = {_device(paths, member) for volume in volumes for member in volume.members}
        self.volumes, self._subvolumes = _all_volumes(self._appliance, known, members, self._opened.values())

    def roots_on(self, volume):
        """The subvolumes of `volume` that hold a root, "" for the default one. Raises CannotMount."""
        if self._holds_root(volume, "ro"):
            return [""]
        return [each for each in self._subvolumes.get(volume.device, ()) if self._holds_root(volume, f"ro,subvol={each}")]

    def can_hold_root(self, volume):
        return volume.device != "" and volume.content.kind in ROOT_KINDS

    def mount(self, planned, path):
        """Mounts at `path`, free of symbolic links. Raises CannotMount."""
        options = list(planned.options) + (["ro"] if planned.read_only else [])
        self._mount(planned.volume, ",".join(options), path)
        volume = planned.volume
        return MountedVolume(volume.disk or volume.device, volume.partition, path, volume.content.kind, NAME, planned.read_only)

    def resolve(self, path):
        """Where `path` lies, free of symbolic links. Raises MachineError if that is no folder."""
        try:
            found = self._appliance.run("realpath", path).strip("\n")
            if self._appliance.says("is-dir", found):
                return found
        except TargetError as error:
            raise MachineError(f"its mount point cannot be used: {error}") from error
        raise MachineError("its mount point is no folder")

    def text(self, path):
        """What the machine's file holds, "" where there is none."""
        return self._appliance.run("cat", path) if self._appliance.says("is-file", path, "followsymlinks:true") else ""

    def name_opened(self, crypttab):
        """Opened volumes get the names by which the machine itself knows them."""
        names = {}
        for name, volume in opened_names(crypttab, self.volumes).items():
            names.setdefault(self._opened.get(volume.device), []).append(f"/dev/mapper/{name}")
        self.volumes = tuple(volume._replace(aliases=volume.aliases + tuple(names.get(volume.device, ()))) for volume in self.volumes)

    def finish(self, folder):
        self._appliance.mount_local(self._session, folder)

    def _mount(self, volume, options, path):
        if not volume.device:
            raise CannotMount(f"{volume.label}: libguestfs does not know it")
        refuse_incomplete(volume)
        try:
            self._appliance.run("mount-options", options, volume.device, path)
        except TargetError as error:
            raise CannotMount(f"{volume.label}: {error}") from error

    def _holds_root(self, volume, options):
        says = self._appliance.says
        self._mount(volume, options, "/")
        try:
            return any(says("exists", path) for path in ("/etc/os-release", "/usr/lib/os-release", "/etc/fstab")) and any(
                says("is-dir", path, "followsymlinks:true") for path in ("/usr", "/bin"))
        finally:
            self._appliance.run("umount-all")


def stop(tag, pid, log):
    """Stops the appliance that an earlier process started, after its mount is gone. Raises TargetError."""
    if pid and pid in processes.marked_with(tag):
        Appliance(tag, pid, log).stop()


def _open_all(appliance, keys, known):
    """Opens what the keys open, also LUKS on LVM and LVM on LUKS. {device: the device that it was opened as}. Raises TargetError."""
    opened, seen = {}, set()
    while keys:
        locked = [device for device in _encrypted(appliance, known) if device not in seen]
        if not locked:
            break
        seen.update(locked)
        for device in locked:
            label, uuid = known[device].label if device in known else device, appliance.run("vfs-uuid", device).strip()
            fitting = [key for key in keys if key.is_for(label, uuid)]
            if any(appliance.open_luks(device, key.secret, f"luks-{uuid}") for key in fitting):
                opened[device] = f"/dev/mapper/luks-{uuid}"
            elif any(key.volume for key in fitting):
                raise TargetError(f"The key in luks_keys for {label} ({uuid}) does not open it.")
        appliance.run("lvm-scan", "true")
    return opened


def _encrypted(appliance, known):
    """The LUKS volumes, opened or not, which libguestfs does not list among the file systems."""
    stacked = appliance.run("lvs").split() + appliance.run("list-md-devices").split()
    return [device for device, volume in known.items() if volume.content.kind == "luks"] + [
        device for device in stacked if _kind(appliance, device) == "luks"]


def _kind(appliance, device):
    """What a device holds; "unknown" where libguestfs cannot tell, as of the parts of a thin pool."""
    try:
        kind = appliance.run("vfs-type", device).strip()
    except TargetError:
        kind = ""
    return _KINDS.get(kind, kind) or "unknown"


def _known(volumes, paths):
    """{name in the appliance: volume} of those that the partition tables show."""
    devices = [_device(paths, volume) for volume in volumes]
    return {device: volume._replace(device=device) for device, volume in zip(devices, volumes)}


def _device(paths, volume):
    return f"/dev/sd{_letters(paths.index(volume.path))}{volume.partition or ''}"


def _all_volumes(appliance, known, members, opened):
    """The `known` ones; what libguestfs assembled from them; and the LUKS volumes that were `opened`. And {device: subvolumes}.

    :param members: further devices of the known ones, which are no volumes.
    """
    known, subvolumes = dict(known), {}
    listed = dict(line.rpartition(": ")[::2] for line in appliance.run("list-filesystems").splitlines())
    for device in opened:
        listed.setdefault(device, _kind(appliance, device))
    for device, kind in listed.items():
        if device.startswith("btrfsvol:"):
            parts = device[len("btrfsvol:"):].split("/", 3)     # "", "dev", "sda2", "@/home"
            subvolumes.setdefault("/".join(parts[:3]), []).append(parts[3])
        elif device not in known and device not in members:
            content = Content(_KINDS.get(kind, kind), *(_identity(appliance, device) if kind not in ("unknown", "swap") else ()))
            names = _array_names(appliance, device) if device.startswith("/dev/md") else _names(device)
            known[device] = Volume("", 0, "", 0, 0, content, device=device, aliases=names)
    return tuple(known.values()), subvolumes


def _identity(appliance, device):
    return appliance.run("vfs-uuid", device).strip(), appliance.run("vfs-label", device).rstrip("\n")


def _array_names(appliance, device):
    """An MD array is /dev/md127 in the appliance, and at home what the name in its superblock says: "shop:0" is /dev/md0 (md(4))."""
    found = re.search(r"^name: (?:.*:)?(.+)$", appliance.run("md-detail", device), re.MULTILINE)
    if not found:
        return (device,)
    return (f"/dev/md/{found.group(1)}",) + ((f"/dev/md{found.group(1)}",) if found.group(1).isdigit() else ())


def _names(device):
    """Logical volumes have two names; device mapper doubles the dashes inside each part of its own."""
    parts = device.split("/")
    if len(parts) == 4 and parts[2] not in ("mapper", "md"):
        return (device, "/dev/mapper/{}-{}".format(*(part.replace("-", "--") for part in parts[2:])))
    return (device,)


def _letters(index):
    """The kernel's disk letters: a … z, aa, ab …"""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return letters


def _environment(tag):
    environment = dict(os.environ, LC_ALL="C.UTF-8")
    environment[processes.MARK] = tag
    environment.setdefault("LIBGUESTFS_BACKEND", "direct")      # libvirt would need a running daemon
    if "LIBGUESTFS_BACKEND_SETTINGS" not in environment and not qemu_probe.abilities().kvm:
        environment["LIBGUESTFS_BACKEND_SETTINGS"] = "force_tcg"    # /dev/kvm may exist and yet hang
    return environment


def _tail(log):
    with open(log, encoding="utf-8", errors="replace") as stream:
        return " ".join(stream.read().split())[-300:] or "no reason given"
