# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine is mounted by its fstab, changed, and unmounted; the changes are on its disks and nothing is left on the worker."""

import os
import subprocess

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery import mount, syscalls
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.model import RestoredDisk
from recovery_disks import contents, device, fill_root, make_disk, make_fs, mounted, ours_attached, read, run, write


def take(disks, place, **options):
    point, records = place
    return mount.mount_machine([RestoredDisk(name, str(path)) for name, path in disks.items()], point, state_folder=records, **options)


def drop(place):
    return mount.unmount_machine(place[0], place[1])


def where(result):
    return {each.path: (each.device, each.partition, each.type, each.backend) for each in result.mounts}


def has_driver(kind):
    return kind in read("/proc/filesystems").split()


def test_whole_server(server, place):
    path, parts = server
    result = take({"sda": path}, place)
    assert [each.path for each in result.mounts] == ["/", "/boot", "/boot/efi", "/srv/data"]
    assert where(result) == {"/": ("sda", 3, "ext4", "kernel"), "/boot": ("sda", 2, "ext4", "kernel"),
                             "/boot/efi": ("sda", 1, "vfat", "kernel" if has_driver("vfat") else "mtools"),
                             "/srv/data": ("sda", 4, "xfs", "kernel")}
    assert [(each.path, each.reason) for each in result.missing] == [("/mnt/gone", "no volume of the given disks matches")]
    assert result.disks[0].table == "gpt" and len(result.disks[0].partitions) == 5
    for entry in syscalls.mounts_below(result.root):
        assert {"nosuid", "nodev", "noexec", "rw"} <= set(entry.options), entry
    for folder in ("", "/boot", "/boot/efi", "/srv/data"):
        write(result.root + folder + "/written.txt", "by the fix-up " + folder)
    os.makedirs(result.root + "/boot/efi/EFI/BOOT")
    write(result.root + "/boot/efi/EFI/BOOT/BOOTX64.EFI", "x" * 200000)
    assert drop(place) is True
    assert drop(place) is False
    assert not os.path.exists(place[0]) and not ours_attached(place[0])
    for number, kind, folder in ((3, "ext4", ""), (2, "ext4", "/boot"), (4, "xfs", "/srv/data")):
        with mounted(path, parts[number], kind, path.parent / "mnt") as root:
            assert read(root / "written.txt") == "by the fix-up " + folder
    with device(path, parts[1]) as name:
        run("fsck.vfat", "-n", name)
        assert run("mtype", "-i", name, "::/EFI/BOOT/BOOTX64.EFI") == "x" * 200000
        assert run("mtype", "-i", name, "::/written.txt") == "by the fix-up /boot/efi"
    with device(path, parts[3]) as name:
        run("e2fsck", "-fn", name)


def test_a_second_mount_changes_nothing(server, place):
    path, _parts = server
    first = take({"sda": path}, place)
    before = syscalls.mounts_below(place[0])
    assert take({"sda": path}, place) == first == mount.find_mounted(*place)
    assert syscalls.mounts_below(place[0]) == before
    with pytest.raises(TargetError, match="Unmount it first"):
        take({"sda": path}, place, read_only=True)


def test_read_only_leaves_every_byte(server, place):
    """Also where the journal holds changes that were not replayed: the image is of a machine that was not shut down."""
    path, parts = server
    crashed = path.parent / "crashed.raw"
    for number, kind in ((3, "ext4"), (4, "xfs")):
        with mounted(path, parts[number], kind, path.parent / "mnt") as root:
            write(root / "late.txt", "late")
            run("sync", "-f", str(root))
            write(root / "later.txt", "later")
            descriptor = os.open(root / "later.txt", os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
            run("cp", "--sparse=auto", str(path), str(crashed))
        os.replace(crashed, path)
    before = contents(path)
    with mount.mounted_machine([RestoredDisk("sda", str(path))], place[0], read_only=True, state_folder=place[1]) as result:
        assert all(each.read_only for each in result.mounts)
        with pytest.raises(OSError):
            write(result.root + "/boot/efi/x", "x")
        with pytest.raises(OSError):
            write(result.root + "/x", "x")
    assert contents(path) == before
    with mount.mounted_machine([RestoredDisk("sda", str(path))], place[0], state_folder=place[1]) as result:
        assert read(result.root + "/later.txt") == "later"
        assert read(result.root + "/srv/data/later.txt") == "later"


def test_fuse_instead_of_the_kernel(server, place):
    path, parts = server
    if not os.path.exists("/dev/fuse"):
        pytest.skip("the machine has no /dev/fuse")
    result = take({"sda": path}, place, backend="fuse")
    assert {each.path: each.backend for each in result.mounts} == {"/": "fuse", "/boot": "fuse", "/boot/efi": "mtools"}
    assert [each.path for each in result.missing] == ["/mnt/gone", "/srv/data"]
    write(result.root + "/boot/grown.img", "y" * 3000000)
    os.chmod(result.root + "/boot/grown.img", 0o640)
    os.chown(result.root + "/boot/grown.img", 12, 34)
    os.symlink("grown.img", result.root + "/boot/link")
    assert drop(place)
    with device(path, parts[2]) as name:
        run("e2fsck", "-fn", name)
    with mounted(path, parts[2], "ext4", path.parent / "mnt") as boot:
        status = os.stat(boot / "link")
        assert (status.st_size, status.st_mode & 0o7777, status.st_uid, status.st_gid) == (3000000, 0o640, 12, 34)


def test_logical_partitions_of_an_mbr(tmp_path, place):
    path = tmp_path / "hda.raw"
    parts = make_disk(path, 200, "label: dos\nlabel-id: 0x12345678\n1: size=32M,type=83\n2: size=150M,type=5\n5: size=64M\n6: size=64M\n")
    make_fs(path, parts[1], "ext2")
    make_fs(path, parts[5], "ext4")
    make_fs(path, parts[6], "ext4")
    with mounted(path, parts[6], "ext4", tmp_path / "mnt") as root:
        fill_root(root, "/dev/vda6 / ext4 defaults 0 1\n/dev/vda1 /boot ext2 noauto 0 0\nPARTUUID=12345678-05 /home ext4 defaults 0 0\n",
                  ("boot", "home"))
    result = take({"vda": path}, place)
    assert where(result) == {"/": ("vda", 6, "ext4", "kernel"), "/boot": ("vda", 1, "ext2", "kernel"),
                             "/home": ("vda", 5, "ext4", "kernel")}


def test_disk_without_partitions(tmp_path, place):
    path = tmp_path / "disk.raw"
    with open(path, "wb") as disk:
        disk.truncate(64 << 20)
    make_fs(path, None, "ext4")
    with mounted(path, None, "ext4", tmp_path / "mnt") as root:
        fill_root(root, "/dev/vda / ext4 defaults 0 1\n")
    assert where(take({"vda": path}, place)) == {"/": ("vda", 0, "ext4", "kernel")}


def test_root_in_a_btrfs_subvolume(tmp_path, place):
    if not has_driver("btrfs"):
        pytest.skip("the kernel has no btrfs")
    path = tmp_path / "disk.raw"
    parts = make_disk(path, 256, "label: gpt\nsize=240M\n")
    make_fs(path, parts[1], "btrfs", "--mixed")
    with mounted(path, parts[1], "btrfs", tmp_path / "mnt") as top:
        for name in ("@", "@home"):
            run("btrfs", "subvolume", "create", str(top / name))
        fill_root(top / "@", "LABEL=x /gone ext4 defaults 0 0\n/dev/nvme0n1p1 / btrfs defaults,subvol=@ 0 1\n"
                             "/dev/nvme0n1p1 /home btrfs compress=zstd,subvol=@home,ro 0 2\n", ("home",))
    result = take({"nvme0n1": path}, place)
    assert where(result) == {"/": ("nvme0n1", 1, "btrfs", "kernel"), "/home": ("nvme0n1", 1, "btrfs", "kernel")}
    write(result.root + "/etc/written", "yes")
    with pytest.raises(OSError):
        write(result.root + "/home/written", "no")
    drop(place)
    with mounted(path, parts[1], "btrfs", tmp_path / "mnt", "subvol=@") as root:
        assert read(root / "etc/written") == "yes"


def btrfs_on_two_disks(folder):
    """A root that lies on /dev/sda2 and on all of /dev/sdb. Its fstab names the second."""
    first, second = folder / "sda.raw", folder / "sdb.raw"
    parts = make_disk(first, 300, "label: gpt\nsize=8M\nsize=200M\n")
    with open(second, "wb") as disk:
        disk.truncate(220 << 20)
    with device(first, parts[2]) as one, device(second) as two:
        run("mkfs.btrfs", "-q", "-f", "-m", "raid1", "-d", "raid0", one, two)
        os.makedirs(folder / "mnt", exist_ok=True)
        syscalls.mount(one, str(folder / "mnt"), "btrfs", 0, f"device={two}")
        try:
            fill_root(folder / "mnt", "/dev/sdb / btrfs defaults 0 1\n/dev/sdb /srv btrfs defaults 0 2\n", ("srv",))
        finally:
            syscalls.unmount(str(folder / "mnt"))
    return {"sda": first, "sdb": second}


@pytest.mark.parametrize("read_only", [True, False])
def test_btrfs_on_two_disks(tmp_path, place, read_only):
    if not has_driver("btrfs"):
        pytest.skip("the kernel has no btrfs")
    disks = btrfs_on_two_disks(tmp_path)
    before = [contents(path) for path in disks.values()]
    result = take(disks, place, read_only=read_only)
    assert where(result) == {"/": ("sda", 2, "btrfs", "kernel"), "/srv": ("sda", 2, "btrfs", "kernel")}
    if not read_only:
        write(result.root + "/etc/written", "yes")
    drop(place)
    assert ([contents(path) for path in disks.values()] == before) is read_only
    if not read_only:
        assert read(take(dict(reversed(list(disks.items()))), place).root + "/etc/written") == "yes"


def test_btrfs_without_one_of_its_disks(tmp_path, place):
    if not has_driver("btrfs"):
        pytest.skip("the kernel has no btrfs")
    disks = btrfs_on_two_disks(tmp_path)
    with pytest.raises(TargetError, match="sda2: this btrfs lies on 2 devices, and 1 of them are not among the disks"):
        take({"sda": disks["sda"]}, place, backend="kernel")


def test_several_roots_in_btrfs(tmp_path, place):
    if not has_driver("btrfs"):
        pytest.skip("the kernel has no btrfs")
    path = tmp_path / "disk.raw"
    parts = make_disk(path, 256, "label: gpt\nsize=240M\n")
    make_fs(path, parts[1], "btrfs", "--mixed")
    with mounted(path, parts[1], "btrfs", tmp_path / "mnt") as top:
        for name in ("@", "@before-upgrade"):
            run("btrfs", "subvolume", "create", str(top / name))
            fill_root(top / name, "")
            write(top / name / "name", name)
    with pytest.raises(TargetError, match="sda1:@, sda1:@before-upgrade"):
        take({"sda": path}, place)
    assert read(take({"sda": path}, place, root="sda1:@").root + "/name") == "@"


def test_clone_of_a_mounted_file_system(server, place, tmp_path):
    """The worker has the same UUIDs mounted: xfs is mounted beside it, btrfs is refused."""
    path, parts = server
    original = tmp_path / "original.raw"
    run("cp", "--sparse=auto", str(path), str(original))
    with mounted(original, parts[4], "xfs", tmp_path / "mnt"):
        result = take({"sda": path}, place)
        assert "/srv/data" in where(result)
        write(result.root + "/srv/data/clone", "clone")
        assert os.listdir(tmp_path / "mnt") == []
        drop(place)


def test_clone_of_a_mounted_btrfs_is_refused(tmp_path, place):
    if not has_driver("btrfs"):
        pytest.skip("the kernel has no btrfs")
    path, clone = tmp_path / "disk.raw", tmp_path / "clone.raw"
    parts = make_disk(path, 160, "label: gpt\nsize=150M\n")
    make_fs(path, parts[1], "btrfs", "--mixed")
    with mounted(path, parts[1], "btrfs", tmp_path / "mnt") as root:
        fill_root(root, "")
    run("cp", "--sparse=auto", str(path), str(clone))
    with mounted(path, parts[1], "btrfs", tmp_path / "mnt"), pytest.raises(TargetError, match="same UUID"):
        take({"sda": clone}, place, backend="kernel")
    assert where(take({"sda": clone}, place)) == {"/": ("sda", 1, "btrfs", "kernel")}


def test_several_roots(tmp_path, place):
    path = tmp_path / "disk.raw"
    parts = make_disk(path, 100, "label: gpt\nsize=40M\nsize=40M\n")
    for number in (1, 2):
        make_fs(path, parts[number], "ext4")
        with mounted(path, parts[number], "ext4", tmp_path / "mnt") as root:
            fill_root(root, "")
    with pytest.raises(TargetError, match="sda1, sda2.*option root"):
        take({"sda": path}, place)
    assert where(take({"sda": path}, place, root="sda2")) == {"/": ("sda", 2, "ext4", "kernel")}


def test_no_root(tmp_path, place):
    path = tmp_path / "disk.raw"
    parts = make_disk(path, 60, "label: gpt\nsize=40M\n")
    make_fs(path, parts[1], "ext4")
    with pytest.raises(TargetError, match=r"No root file system.*looked at: sda1"):
        take({"sda": path}, place, backend="kernel")


def test_required_file_system_missing(tmp_path, place):
    path = tmp_path / "disk.raw"
    parts = make_disk(path, 60, "label: gpt\nsize=40M\n")
    make_fs(path, parts[1], "ext4")
    with mounted(path, parts[1], "ext4", tmp_path / "mnt") as root:
        fill_root(root, "/dev/sdb1 /boot ext4 defaults 0 0\n", ("boot",))
    with pytest.raises(TargetError, match=r"/boot \(/dev/sdb1 in fstab\) cannot be mounted: no volume of the given disks matches"):
        take({"sda": path}, place, backend="kernel")
    assert not syscalls.mounts_below(place[0]) and not os.path.exists(place[0])


def test_disk_in_use(server, place, tmp_path):
    path, parts = server
    with mounted(path, parts[3], "ext4", tmp_path / "mnt"), pytest.raises(TargetError, match="in use by the read-write mount at"):
        take({"sda": path}, place)
    with open(path, "r+b") as opened, subprocess.Popen(["tail", "-f", "/dev/null"], stdin=opened) as writer:
        with pytest.raises(TargetError, match=r"in use by tail \(process \d+\)"):
            take({"sda": path}, place)
        writer.kill()
    take({"sda": path}, place)
    other = (str(tmp_path / "other"), place[1])
    with pytest.raises(TargetError, match="in use by the machine mounted at"):
        take({"sda": path}, other)


@pytest.mark.parametrize("content", ["", "file", "mount"])
def test_mount_point_in_use(server, place, content):
    point = place[0]
    if content == "":
        os.symlink("/", point)
    else:
        os.makedirs(point)
    if content == "file":
        write(point + "/x", "x")
    if content == "mount":
        syscalls.mount("none", point, "tmpfs", 0)
    try:
        with pytest.raises(TargetError, match="empty folder"):
            take({"sda": server[0]}, place)
        if content == "mount":
            with pytest.raises(TargetError, match="not mounted by us"):
                drop(place)
    finally:
        if content == "mount":
            syscalls.unmount(point)


def test_process_in_the_way_is_named(server, place):
    path, _parts = server
    result = take({"sda": path}, place)
    with subprocess.Popen(["sleep", "1"], cwd=result.root + "/boot"):      # it goes away in time
        drop(place)
    result = take({"sda": path}, place)
    write(result.root + "/boot/written", "before")
    with subprocess.Popen(["sleep", "60"], cwd=result.root + "/boot") as holder:
        words = r"in use by sleep \(process {0}\).*detached lazily.*Do not start the machine".format(holder.pid)
        with pytest.raises(TargetError, match=words):
            mount.tear_down(mount.State(*place), mount.State(*place).load(), patience=0.2)
        assert not syscalls.mounts_below(place[0])
        holder.kill()
    drop(place)
    assert read(take({"sda": path}, place).root + "/boot/written") == "before"


def test_file_system_that_failed_is_told(server, place):
    """errors=remount-ro happened while the machine was mounted: what was written since may be lost."""
    result = take({"sda": server[0]}, place)
    boot = result.root + "/boot"
    syscalls.unmount(boot + "/efi")
    syscalls.mount("", boot, "", syscalls.MS_REMOUNT | syscalls.MS_RDONLY | syscalls.DATA_ONLY)
    with pytest.raises(TargetError, match=r"/boot \(sda\) became read-only after an error"):
        drop(place)
    assert not syscalls.mounts_below(place[0])
