# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host that is captured in place says in its image where it can be recovered; the fix-ups of the restored disk say the same."""

import contextlib
import gzip
import json
import os
import shutil
import stat
import subprocess
import sys

import pytest

from file_trees import tree_of
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.recoverability import judge, kept
from ansible_collections.agnostic.recovery.plugins.module_utils.image.manifest import read_manifest
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.job import tasks
from ansible_collections.agnostic.recovery.plugins.module_utils.job.initialise import ensure_repository
from ansible_collections.agnostic.recovery.plugins.module_utils.job.listing import list_named
from ansible_collections.agnostic.recovery.plugins.module_utils.job.opening import opened
from ansible_collections.agnostic.recovery.plugins.module_utils.job.recoverability import OTHERS
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.cpio import pack_archive
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.data import to_data
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.disk import read_disk
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.tree import Tree
from ansible_collections.agnostic.recovery.plugins.module_utils.source.disk import open_disk
from ansible_collections.agnostic.recovery.plugins.module_utils.target.profile import PROFILES

HOST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "folder_host.py")
MIB = 1 << 20
START = MIB
SIZE = 64 * MIB
UUID = "11111111-aaaa-4aaa-8aaa-111111111111"
VERSION = "6.1.0-9-amd64"
# Enough for virtio; nothing for NVMe, Xen, Hyper-V.
MODULES = {
    "virtio": "drivers/virtio", "virtio_ring": "drivers/virtio", "virtio_pci": "drivers/virtio", "virtio_scsi": "drivers/scsi",
    "virtio_blk": "drivers/block", "scsi_mod": "drivers/scsi", "sd_mod": "drivers/scsi", "ahci": "drivers/ata"}
RECOVERABLE = ("kvm", "openstack", "gcp", "vmware", "ncloud-kvm")


def run(*command, **more):
    return subprocess.run(command, check=True, stdin=more.pop("stdin", subprocess.DEVNULL) if "input" not in more else None,
                          stdout=subprocess.PIPE, **more).stdout.decode()


def fill(root):
    """A small Debian-like machine."""
    def write(path, content):
        os.makedirs(os.path.dirname(root + path), exist_ok=True)
        with open(root + path, "wb") as file:
            file.write(content)

    for folder in ("proc", "sys", "dev", "etc/cloud"):
        os.makedirs(os.path.join(root, folder))
    modules = f"/usr/lib/modules/{VERSION}"
    for name, folder in MODULES.items():
        write(f"{modules}/kernel/{folder}/{name}.ko", b"module")
    write(f"{modules}/modules.dep", "".join(f"kernel/{folder}/{name}.ko:\n" for name, folder in MODULES.items()).encode())
    write(f"{modules}/modules.builtin", b"")
    os.symlink("usr/lib", root + "/lib")
    archive = pack_archive([("usr", stat.S_IFDIR | 0o755, b""), ("usr/udevd", stat.S_IFREG | 0o755, b"")])
    write(f"/boot/initrd.img-{VERSION}", gzip.compress(archive))
    write(f"/boot/vmlinuz-{VERSION}", b"kernel")
    write("/boot/grub/grub.cfg", (
        f"menuentry 'Debian' {{\n\tlinux /boot/vmlinuz-{VERSION} root=UUID={UUID} ro quiet\n"
        f"\tinitrd /boot/initrd.img-{VERSION}\n}}\n").encode())
    write("/usr/lib/systemd/systemd-udevd", b"elf")
    write("/etc/os-release", b"ID=debian\nVERSION_ID=12\nPRETTY_NAME='Debian GNU/Linux 12'\n")
    write("/etc/fstab", f"UUID={UUID} / ext4 defaults 0 1\n".encode())


@contextlib.contextmanager
def mounted(path, folder, *options):
    """The partition of a disk file, at `folder`."""
    os.makedirs(folder)
    device = run("losetup", "--find", "--show", "--offset", str(START), "--sizelimit", str(SIZE), path).strip()
    try:
        if not options:
            run("mkfs.ext4", "-q", "-F", "-U", UUID, device)
        run("mount", *options, device, folder)
        try:
            yield folder
        finally:
            run("umount", folder)
    finally:
        run("losetup", "--detach", device)


@pytest.fixture(name="host")
def fixture_host(tmp_path):
    """(disk file, folder in which its file system is mounted)."""
    for program in ("losetup", "sfdisk", "mkfs.ext4", "mount"):
        if not shutil.which(program):
            pytest.skip("this machine lacks " + program)
    if os.geteuid():
        pytest.skip("needs root for loop devices and mounts")
    path = str(tmp_path / "disk.raw")
    with open(path, "wb") as file:
        file.truncate(START + SIZE + MIB)
    run("sfdisk", "-q", path, input=f"label: dos\nstart={START // MIB}MiB, size={SIZE // MIB}MiB, type=83\n".encode())
    with open(path, "r+b") as file:
        file.write(b"\xeb\x63\x90")          # boot code
    with mounted(path, str(tmp_path / "host")) as folder:
        fill(folder)
        os.makedirs(folder + str(tmp_path))
        yield path, folder


@pytest.fixture(name="options")
def fixture_options(tmp_path):
    options = {"repository": {"type": "directory", "path": str(tmp_path / "repository")}, "passphrase": None,
               "key_file": str(tmp_path / "key")}
    ensure_repository(dict(options, unencrypted=False, chunk_size=None, capture_credential_file=None), check=False)
    return options


@pytest.fixture(name="still")
def fixture_still(tmp_path):
    path = tmp_path / "still.raw"
    path.write_bytes(b"x" * MIB)
    return [{"name": "sda", "path": str(path)}]


def test_a_host_is_judged_while_it_is_captured(host, options, still, tmp_path):
    disk, folder = host
    before = tree_of(folder)
    asked = {"exclude": [str(tmp_path)], "warm": dict(options, kind="capture", machine="warm", disks=still),
             "spec": dict(options, kind="capture", machine="web1", disks=[{"name": "sda", "path": disk}])}
    found = json.loads(run(sys.executable, HOST, folder, "/proc", "/sys", "/dev", str(tmp_path), input=json.dumps(asked).encode()))
    assert tree_of(folder) == before
    words = {name: "with_changes" if name in RECOVERABLE else "no" for name in PROFILES}
    assert found["judged"] == words
    result = found["result"]
    told = result["recoverability"]
    assert result["image"]["recoverable"] == words and result["image"]["consistency"] == "filesystem"
    assert told["reason"] == "" and told["notes"] == []
    by_name = {entry["target"]: entry for entry in told["targets"]}
    assert {name: entry["verdict"] for name, entry in by_name.items()} == words
    assert f"Kernel {VERSION} has no driver nvme" in by_name["aws-nitro"]["errors"][0]
    assert "capture it again" in by_name["aws-nitro"]["errors"][0]

    with opened(options) as repository:
        assert read_manifest(repository, result["image"]["id"]).recoverability == told
    images, _damaged = list_named(dict(options, machine="web1", image=None, latest=False, machine_model=True))
    assert images[0]["recoverable"] == words and images[0]["recoverability"] == told

    # The same by the restored disk, in the night in which it counts.
    restored = str(tmp_path / "restored.raw")
    tasks.run(dict(options, kind="restore", machine="web1", image="latest", disks=[{"name": "sda", "path": restored}]), NoProgress())
    with open_disk(restored, "sda") as source:
        layout = read_disk("sda", source.read_at, source.size)
    with mounted(restored, str(tmp_path / "recovered"), "-o", "ro") as root:
        assert [to_data(kept(judgement)) for judgement in judge(Tree(root), (layout,), list(PROFILES.values()))] == told["targets"]


def test_disks_that_are_not_in_use_are_not_judged(options, still):
    result = tasks.run(dict(options, kind="capture", machine="web1", disks=still), NoProgress())
    assert result["recoverability"]["reason"] == OTHERS and result["image"]["recoverable"] == {}
    assert "recoverability" not in tasks.run(dict(options, kind="capture", machine="web1", disks=still, check=True), NoProgress())
