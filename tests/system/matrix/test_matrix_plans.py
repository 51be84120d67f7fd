# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every source of the boot matrix on a small tree: the machine's own files, a few bytes instead of a kernel. What the matrix boots must at
least be planned, applied, verified and undone without a fault; this needs no disk and no guest.
"""

import gzip
import os
import re
import stat

import pytest
from bootmatrix import cases, machine

from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import engine, situation
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.situation import MappedAddress, NetworkOptions, Options, TargetNic
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.cpio import pack_archive
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.model import Content, Disk, Partition
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.tree import Tree
from ansible_collections.agnostic.recovery.plugins.module_utils.target.profile import all_disk_drivers, get_profile

KERNEL = "6.1.0-9-amd64"
MAC = "52:54:00:12:34:56"
IDENTITY = machine.Identity("m-0123456789", "0123456789abcdef0123456789abcdef", "fedcba9876543210")
UUIDS = {key: f"{number}1111111-aaaa-4aaa-8aaa-111111111111" for number, key in enumerate(("/", "/boot", "swap"), 1)}
UUIDS["/boot/efi"] = "AB12-34CD"
TYPES = {"grub": "21686148-6449-6e6f-744e-656564454649", "vfat": "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"}
# Names that mean something on the old hardware only.
BOUND = re.compile(r"/dev/(?:[sv]d[a-z]\d|nvme\d|disk/by-(?:id|path))")


def write(root, path, content):
    place = os.path.join(root, path.lstrip("/"))
    os.makedirs(os.path.dirname(place), exist_ok=True)
    with open(place, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())


def make_root(source, root):
    names = machine.names_of(source, UUIDS)
    uuids = {key: UUIDS[key] for key in names if key in UUIDS}
    for path, text in machine.texts(source, names, IDENTITY).items():
        write(root, path, text)
    write(root, "etc/os-release", "ID=debian\nVERSION_ID=12\n")
    write(root, "lib/systemd/systemd-udevd", "elf")
    tool = "usr/lib/dracut/dracut-functions.sh" if source.initramfs == "dracut" else "usr/share/initramfs-tools/hook-functions"
    write(root, tool, "#")
    base = f"lib/modules/{KERNEL}"
    drivers = {name for bus in machine.BUSES.values() for name in bus.drivers}.union(all_disk_drivers(), (source.root,))
    for name in drivers:
        write(root, f"{base}/kernel/{name}.ko", f"module {name}")
    index = "".join(f"kernel/{name}.ko:\n" for name in sorted(drivers))
    write(root, f"{base}/modules.dep", index)
    write(root, f"{base}/modules.builtin", "")
    held = [("usr", None), ("lib", None), ("lib/systemd", None), ("lib/systemd/systemd-udevd", b"elf"), ("lib/modules", None), (base, None),
            (f"{base}/kernel", None), (f"{base}/modules.dep", index.encode())]
    held += [(f"{base}/kernel/{name}.ko", b"module") for name in sorted(set(machine.BUSES[source.bus].drivers) | {source.root})]
    archive = pack_archive([(path, (stat.S_IFDIR if data is None else stat.S_IFREG) | 0o755, data or b"") for path, data in held])
    write(root, f"boot/vmlinuz-{KERNEL}", "kernel")
    write(root, f"boot/initrd.img-{KERNEL}", gzip.compress(archive))
    if source.loader == "extlinux":
        write(root, "boot/extlinux/extlinux.conf", machine.extlinux_menu(source, names, KERNEL))
    elif source.loader == "sdboot":
        folder = f"boot/efi/{IDENTITY.machine_id}/{KERNEL}"
        write(root, f"boot/efi/loader/entries/{IDENTITY.machine_id}-{KERNEL}.conf",
              machine.systemd_boot_entry(source, names, IDENTITY, KERNEL))
        write(root, f"{folder}/linux", "kernel")
        write(root, f"{folder}/initrd.img-{KERNEL}", gzip.compress(archive))
    else:
        write(root, "boot/grub/grub.cfg", machine.grub_menu(source, names, uuids, KERNEL))
    for folder in ("proc", "dev", "sys"):
        os.makedirs(os.path.join(root, folder), exist_ok=True)


def disk_of(source):
    parts = []
    for part in machine.parts_of(source):
        if part.content == "extended":
            continue
        content = Content("lvm2" if part.content == "lvm" else "unknown" if part.content == "grub" else part.content,
                          UUIDS.get(part.mount or part.content, ""))
        parts.append(Partition(part.number, part.start_mib << 20, part.size_mib << 20,
                               TYPES.get(part.content, "0fc63daf-8483-4772-8e79-3d69d8477de4"), f"aaaa-0{part.number}", content=content))
    table = "mbr" if source.storage == "mbr" else "gpt"
    return Disk(machine.BUSES[source.bus].disk, machine.disk_mib(source) << 20, table=table, partitions=tuple(parts),
                boot_code=source.loader not in cases.UEFI_LOADERS)


def options_of(case):
    mapped = MappedAddress(machine.ADDRESS, f"{machine.MAPPED_ADDRESS}/{machine.PREFIX}", machine.MAPPED_GATEWAY)
    mode = "keep" if case.target.network == "mapped" and case.source.network.endswith("dhcp") else case.target.network
    return Options("union", NetworkOptions(mode, (TargetNic(MAC),), (mapped,) if mode == "mapped" else ()), case.firmware)


def contents(root):
    found = {}
    for folder, _folders, files in os.walk(root):
        for name in files:
            with open(os.path.join(folder, name), "rb") as file:
                found[os.path.join(folder, name)] = file.read()
    return found


# Of each source the case that comes last in the set, so that all network modes are met.
CASES = {case.source: case for case in cases.cases_of("full")}


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_fixups_of_every_case_come_to_their_end(case, tmp_path):
    root = str(tmp_path / "root")
    make_root(case.source, root)
    before = contents(root)
    tree, disks, profile, options = Tree(root), (disk_of(case.source),), get_profile(case.target.profile), options_of(case)
    result = engine.fix_up(tree, disks, profile, options)
    # The loader of a UEFI machine is a program, which this tree has not.
    wrong = [finding.text for finding in result.plan.findings if finding.severity == "error" and finding.fixup != "uefi_fallback"]
    assert not wrong
    assert not [problem for problem in result.problems if not problem.startswith("uefi_fallback")]
    again = engine.fix_up(tree, disks, profile, options, only_plan=True)
    assert not again.plan.changes
    _check_names(root)
    _check_network(case, tree, disks, profile, options)
    engine.undo(tree)
    assert contents(root) == before


def _check_names(root):
    for path in ("etc/fstab", "boot/grub/grub.cfg", "boot/extlinux/extlinux.conf", "etc/initramfs-tools/conf.d/resume"):
        if os.path.exists(os.path.join(root, path)):
            with open(os.path.join(root, path), encoding="utf-8") as file:
                left = [line for line in file if BOUND.search(line) and not line.lstrip().startswith("#")]
            assert not left, path


def _check_network(case, tree, disks, profile, options):
    nics = [nic for nic in situation.inspect(tree, disks, profile, options).nics if nic.name != "lo"]
    assert len(nics) == 1
    addresses = [address.address for address in nics[0].addresses]
    if options.network.mode == "dhcp" or case.source.network.endswith("dhcp"):
        assert nics[0].method == "dhcp" and not addresses
    else:
        wanted = machine.MAPPED_ADDRESS if options.network.mode == "mapped" else machine.ADDRESS
        assert addresses == [f"{wanted}/{machine.PREFIX}"]
