# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines inside an appliance: LVM, MD, LUKS, and file systems that this kernel cannot mount. Slow where there is no KVM, so run on request.

AGNOSTIC_RECOVERY_SLOW=1 runs it, some 60 to 120 seconds.
"""

import os
import re
import shlex
import shutil

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery import mount, processes, state, syscalls
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.backends import guestfs
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.luks import LuksKey
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.model import RestoredDisk
from recovery_disks import read, run, write

pytestmark = [
    pytest.mark.skipif(not os.environ.get("AGNOSTIC_RECOVERY_SLOW"), reason="slow: set AGNOSTIC_RECOVERY_SLOW=1 to run it"),
    pytest.mark.skipif(not shutil.which("guestfish"), reason="not installed: guestfish"),
]

SCRIPT = """\
run
part-init /dev/sda gpt
part-add /dev/sda p 2048 133119
part-add /dev/sda p 133120 -34
mkfs vfat /dev/sda1
pvcreate /dev/sda2
vgcreate vg-0 /dev/sda2
lvcreate root vg-0 200
lvcreate srv vg-0 100
lvcreate swap vg-0 32
mkfs ext4 /dev/vg-0/root label:root
mkfs ext4 /dev/vg-0/srv label:srv
mkswap /dev/vg-0/swap
mount /dev/vg-0/root /
mkdir-p /etc
mkdir-p /usr/bin
mkdir-p /boot/efi
mkdir-p /data/srv
ln-s /data/srv /srv
write /etc/os-release "ID=debian\\n"
write /etc/fstab "/dev/mapper/vg--0-root / ext4 defaults 0 1\\nLABEL=srv /srv ext4 defaults 0 2\\n\
/dev/vda1 /boot/efi vfat umask=0077 0 1\\n\
/dev/vg-0/swap none swap sw 0 0\\n/dev/vg-0/gone /gone ext4 defaults 0 0\\n"
umount-all
shutdown
"""

ARRAY = """\
run
part-init /dev/sda gpt
part-add /dev/sda p 2048 264191
part-add /dev/sda p 264192 526335
part-add /dev/sda p 526336 -34
md-create 0 "/dev/sda1 /dev/sda2" level:raid1
mkfs ext4 /dev/md/0
mkfs ext4 /dev/sda3
mount /dev/sda3 /
mkdir-p /etc
mkdir-p /usr/bin
mkdir /boot
write /etc/os-release "ID=debian\\n"
write /etc/fstab "/dev/sda3 / ext4 defaults 0 1\\n/dev/md0 /boot ext4 defaults 0 2\\n"
umount-all
shutdown
"""


# Root on LVM on LUKS, and a volume with a key of its own.
VAULT = """\
run
part-init /dev/sda gpt
part-add /dev/sda p 2048 67583
part-add /dev/sda p 67584 526335
part-add /dev/sda p 526336 -34
mkfs ext4 /dev/sda1
luks-format /dev/sda2 0
cryptsetup-open /dev/sda2 inside
pvcreate /dev/mapper/inside
vgcreate vg /dev/mapper/inside
lvcreate root vg 100
mkfs ext4 /dev/vg/root
luks-format /dev/sda3 0
cryptsetup-open /dev/sda3 more
mkfs ext4 /dev/mapper/more label:more
mount /dev/vg/root /
mkdir-p /etc
mkdir-p /usr/bin
mkdir /boot
mkdir /srv
write /etc/os-release "ID=debian\\n"
write /etc/fstab "/dev/vg/root / ext4 defaults 0 1\\n/dev/sda1 /boot ext4 defaults 0 2\\n/dev/mapper/data /srv ext4 defaults 0 2\\n"
write /etc/crypttab "vault /dev/sda2 none luks\\ndata /dev/sda3 none luks\\n"
umount-all
shutdown
"""


@pytest.fixture(scope="module")
def lvm_disk(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("lvm") / "vda.raw")
    with open(path, "wb") as disk:
        disk.truncate(512 << 20)
    run("guestfish", "--format=raw", "-a", path, input=SCRIPT.encode(), env=guestfs._environment("test"))
    return path


def test_lvm_machine(lvm_disk, place):
    disks = [RestoredDisk("vda", lvm_disk)]
    result = mount.mount_machine(disks, place[0], state_folder=place[1])
    assert [(each.path, each.device, each.partition, each.type, each.backend) for each in result.mounts] == [
        ("/", "/dev/vg-0/root", 0, "ext4", "guestfs"), ("/boot/efi", "vda", 1, "vfat", "guestfs"),
        ("/data/srv", "/dev/vg-0/srv", 0, "ext4", "guestfs")]
    assert [each.path for each in result.missing] == ["/gone"]
    assert {"nosuid", "nodev", "noexec"} <= set(syscalls.mount_at(place[0]).options)
    assert mount.mount_machine(disks, place[0], state_folder=place[1]) == result
    write(result.root + "/data/srv/written", "yes")
    write(result.root + "/boot/efi/written", "yes")
    os.setxattr(result.root + "/etc/os-release", "user.test", b"x")
    os.chown(result.root + "/etc/os-release", 12, 34)
    assert mount.unmount_machine(*place)
    assert not processes.marked_with(state.tag_of(place[0])) and not os.path.exists(place[0])
    before = run("sha256sum", lvm_disk)
    with mount.mounted_machine(disks, place[0], read_only=True, state_folder=place[1]) as result:
        assert read(result.root + "/data/srv/written") == read(result.root + "/boot/efi/written") == "yes"
        assert os.getxattr(result.root + "/etc/os-release", "user.test") == b"x"
        assert os.stat(result.root + "/etc/os-release").st_gid == 34
        with pytest.raises(OSError):
            write(result.root + "/x", "x")
    assert run("sha256sum", lvm_disk) == before


def test_raid_array(tmp_path, place):
    """The array is /dev/md127 in the appliance and /dev/md0 for the machine."""
    path = str(tmp_path / "sda.raw")
    with open(path, "wb") as disk:
        disk.truncate(512 << 20)
    run("guestfish", "--format=raw", "-a", path, input=ARRAY.encode(), env=guestfs._environment("test"))
    result = mount.mount_machine([RestoredDisk("sda", path)], place[0], state_folder=place[1])
    assert [(each.path, each.backend) for each in result.mounts] == [("/", "guestfs"), ("/boot", "guestfs")]
    assert result.missing == () and result.mounts[1].device.startswith("/dev/md")


@pytest.fixture(scope="module")
def vault_disk(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("vault") / "sda.raw")
    with open(path, "wb") as disk:
        disk.truncate(512 << 20)
    # A script would be its standard input, so the commands are arguments.
    commands = " : ".join(VAULT.splitlines())
    run("guestfish", "--keys-from-stdin", "--format=raw", "-a", path, "--", *[word.replace("\\n", "\n") for word in shlex.split(commands)],
        input=b"one\none\ntwo\ntwo\n", env=guestfs._environment("test"))
    return path


def test_encrypted_machine(vault_disk, place):
    keys = [LuksKey("wrong"), LuksKey("one"), LuksKey("two", "sda3")]
    result = mount.mount_machine([RestoredDisk("sda", vault_disk)], place[0], state_folder=place[1], luks_keys=keys)
    assert [(each.path, each.device, each.type) for each in result.mounts] == [
        ("/", "/dev/vg/root", "ext4"), ("/boot", "sda", "ext4"), ("/srv", result.mounts[2].device, "ext4")]
    assert re.fullmatch("/dev/mapper/luks-[0-9a-f-]{36}", result.mounts[2].device)
    assert result.missing == ()
    write(result.root + "/srv/written", "yes")
    said = read(os.path.join(place[1], state.tag_of(place[0]) + ".json"))
    assert "one" not in re.findall(r"\w+", said) and "two" not in re.findall(r"\w+", said)
    assert mount.unmount_machine(*place)
    with mount.mounted_machine([RestoredDisk("sda", vault_disk)], place[0], read_only=True, state_folder=place[1], luks_keys=keys) as result:
        assert read(result.root + "/srv/written") == "yes"


def test_encrypted_machine_without_its_keys(vault_disk, place):
    disks = [RestoredDisk("sda", vault_disk)]
    with pytest.raises(TargetError, match="luks_keys holds no key"):
        mount.mount_machine(disks, place[0], state_folder=place[1])
    with pytest.raises(TargetError, match=r"The key in luks_keys for sda2 \(.*\) does not open it"):
        mount.mount_machine(disks, place[0], state_folder=place[1], luks_keys=[LuksKey("wrong", "sda2")])
    with mount.mounted_machine(disks, place[0], state_folder=place[1], luks_keys=[LuksKey("one")]) as result:
        assert [(each.path, each.reason) for each in result.missing] == [("/srv", "no volume of the given disks matches")]


def test_killed_appliance_is_cleaned_up(lvm_disk, place):
    """As after kill -9 of the process that was starting it."""
    child = os.fork()
    if not child:
        try:
            guestfs.Appliance.mount_local = lambda *args: os.kill(os.getpid(), 9)
            mount.mount_machine([RestoredDisk("vda", lvm_disk)], place[0], state_folder=place[1])
        finally:
            os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert processes.marked_with(state.tag_of(place[0]))
    assert mount.unmount_machine(*place)
    assert not processes.marked_with(state.tag_of(place[0])) and not os.path.exists(place[0])
