# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disks with real MD arrays, one with LVM on it, made in a guest, since the kernel of the test machine need not have MD.

`python3 source_guest.py` makes them afresh (minutes, where QEMU emulates) and packs them to data/, from where the tests that run every
time take them. File content is a pattern that names its file and repeats at an odd length, so that no two blocks of a file are
equal and everything packs well; before the files were written, the file systems were full of other patterns.
"""

import os
import subprocess
import tarfile
import tempfile

MIB = 1 << 20
PACKED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "md.tar.xz")
DISKS = ("sda", "sdb", "sdc")
SIZE = 128 * MIB
FILES = {"small": 700, "medium": 70_000, "large": 1_500_000}       # in each file system, bytes


def shell(*lines):
    return "".join(f'debug sh "{line}"\n' for line in lines)


def pattern(volume, name):
    return f"{volume}/{name} of the tests\n"


def filled(device, kind, volume):
    """A file system that was full, now with the FILES."""
    lines = [f"mkfs {kind} {device}", f"mount {device} /", 'debug sh "yes junk-junk. > /sysroot/junk || rm /sysroot/junk"']
    lines += [f"debug sh \"yes '{pattern(volume, name)[:-1]}' | head -c {size} > /sysroot/{name}\"" for name, size in FILES.items()]
    return "\n".join(lines + ["umount /", ""])


# name: mdadm options, members
ARRAYS = {
    "raid1": ("--metadata=1.0 --level=1", "a1 b1"),
    "right": ("--metadata=0.90 --level=5 --layout=ra --chunk=4", "a2 b2 c2"),
    "raid0": ("--metadata=1.1 --level=0 --chunk=16", "a3 b3 c3"),
    "raid10": ("--metadata=1.2 --level=10 --chunk=32", "a4 b4 c4 c1"),
    "raid6": ("--metadata=1.2 --level=6 --chunk=64", "a5 b5 c5 c6"),
    "stack": ("--metadata=1.2 --level=5 --chunk=64 --bitmap=internal", "a6 b6 c7"),
}
PARTS, PART_MIB = 7, 16


def script():
    text = "run\n"
    for number, (name, (options, members)) in enumerate(ARRAYS.items()):
        devices = " ".join(f"/dev/sd{member}" for member in members.split())
        text += shell(f"mdadm --create /dev/md{number} --name={name} --run {options} --raid-devices={len(members.split())} {devices}")
        device = f"/dev/md{number}"
        if name == "stack":
            text += shell(f"pvcreate {device}", f"vgcreate -s 1m onmd {device}", "lvcreate -y -n inner -L 20m onmd")
            device = "/dev/onmd/inner"
        text += filled(device, "ext4", name)
    return text + shell("vgchange -an onmd", "mdadm --wait /dev/md? || true", "cat /proc/mdstat", "sync",
                        "mdadm --stop --scan", "cat /proc/mdstat")


def guest(paths, script):
    """Run a guestfish script over the disks; its output."""
    words = [word for path in paths for word in ("-a", path)]
    environment = dict(os.environ, LIBGUESTFS_BACKEND="direct", LIBGUESTFS_BACKEND_SETTINGS="force_tcg", LC_ALL="C")
    done = subprocess.run(["guestfish", "--format=raw"] + words, input=script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, check=False, env=environment)
    assert not done.returncode, done.stdout
    return done.stdout


def make(folder):
    """Paths of fresh disks."""
    paths = [os.path.join(folder, disk) for disk in DISKS]
    table = "label: gpt\n" + "".join(f"start={1 + number * PART_MIB}MiB, size={PART_MIB}MiB\n" for number in range(PARTS))
    for path in paths:
        with open(path, "wb") as file:
            file.truncate(SIZE)
        subprocess.run(["sfdisk", "--quiet", path], input=table.encode(), check=True)
    print(guest(paths, script()))
    return paths


def unpack(folder):
    """Paths of the disks kept in data/."""
    with tarfile.open(PACKED, "r:xz") as archive:
        for disk in DISKS:
            archive.extract(disk, folder)
    return [os.path.join(folder, disk) for disk in DISKS]


def main():
    os.makedirs(os.path.dirname(PACKED), exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        make(folder)
        plain = os.path.join(folder, "plain.tar")
        subprocess.run(["tar", "--create", "--sparse", "--format=gnu", "--owner=0", "--group=0", "--numeric-owner", "--file", plain,
                        "--directory", folder] + list(DISKS), check=True)
        with open(PACKED, "wb") as packed:
            subprocess.run(["xz", "-9e", "--stdout", plain], stdout=packed, check=True)


if __name__ == "__main__":
    main()
