# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The target's disk drivers in the initramfs of every kernel that the boot loader can start, by appending to it, never by rebuilding it.

Without them the kernel starts and finds no root file system: the first cause of failed recoveries. The drivers come from the image's
own /lib/modules. Loading is left to udev in the initramfs, which does it by the complete index; where there is no udev the names are
put where the initramfs' own scripts load them. The machine's initramfs tools are told of the drivers too, so that the next rebuild
keeps them.
"""

from typing import List

from ...errors import FixupError
from ...target.profile import all_disk_drivers
from ..draft import Draft
from ..situation import BootKernel, Situation
from . import disk_names, lvm, md_arrays, overlay

NAME = "initramfs"

HOOK = "/etc/initramfs-tools/hooks/agnostic-recovery"
HOOK_FUNCTIONS = "/usr/share/initramfs-tools/hook-functions"
DRACUT_FOLDERS = ("/usr/lib/dracut", "/lib/dracut", "/usr/share/dracut")
DRACUT_CONF = "/etc/dracut.conf.d/90-agnostic-recovery.conf"
KEEP_REASON = "rebuilding the initramfs on the machine keeps the target's disk drivers"
NAME_FILES = "/etc/systemd/network"

# Kernel packages without drivers for other platforms, by the end of their version, and what to install instead.
LEAN_KERNELS = (
    ("-cloud-amd64", "linux-image-amd64"),
    ("-cloud-arm64", "linux-image-arm64"),
    ("-kvm", "linux-image-generic"),
    ("-virtual", "linux-image-generic"),
    ("-aws", "linux-image-generic"),
    ("-azure", "linux-image-generic"),
    ("-gcp", "linux-image-generic"),
)


def plan(situation: Situation, draft: Draft) -> None:
    """Raises FixupError when no kernel can read the target's disks."""
    usable = [kernel for kernel in situation.kernels if _check(situation, draft, kernel)]
    if not usable:
        raise FixupError(
            f"No kernel that the boot loader can start can read the disks of the target {situation.profile.name}. "
            + " ".join(finding.text for finding in draft.findings if finding.fixup == NAME))
    wanted = _wanted(situation)
    done = set()
    for kernel in usable:
        if kernel.initramfs and kernel.initramfs not in done:
            done.add(kernel.initramfs)
            _extend(situation, draft, kernel, wanted)
    _keep(situation, draft, usable, wanted)


def verify(situation: Situation) -> List[str]:
    problems = []
    for kernel in situation.kernels:
        if not kernel.initramfs or _served_buses(situation, kernel) == ():
            continue                             # nothing to do there, or it was said that nothing can be done
        if kernel.archive is None:
            problems.append(f"The initramfs of kernel {kernel.version} cannot be read: {kernel.problem}")
            continue
        need = overlay.missing(kernel, _wanted(situation))
        if need.modules:
            problems.append(f"{kernel.initramfs} lacks {', '.join(need.modules)} for kernel {kernel.version}.")
        listed, there = overlay.listed(kernel.archive, kernel.version), kernel.archive.modules(kernel.version)
        for name in kernel.modules.closure(_wanted(situation)):
            if name in there and not (name in listed and there[name].endswith("/" + listed[name].lstrip("/"))):
                problems.append(f"{kernel.initramfs} holds {name}, but its modules.dep does not list that file.")
    return problems


def _wanted(situation):
    return all_disk_drivers() if situation.options.drivers == "union" else situation.profile.disk_drivers


def _served_buses(situation, kernel):
    """The names of the target's buses whose drivers this kernel has, in /lib/modules (if there is an initramfs to carry them) or built
    in."""
    enough = ("module", "builtin") if kernel.initramfs else ("builtin",)
    return tuple(bus.name for bus in situation.profile.buses if all(kernel.modules.state(driver) in enough for driver in bus.drivers))


def _check(situation, draft, kernel: BootKernel) -> bool:
    """Whether a kernel can be made to read the target's disks; says so if not, or if it will do on some of the buses only."""
    if kernel.problem:
        draft.find("error", f"Kernel {kernel.version} is left as it is: {kernel.problem}")
        return False
    served = _served_buses(situation, kernel)
    buses = situation.profile.buses
    if buses[0].name in served:
        return True
    lacking = [driver for driver in buses[0].drivers if not kernel.modules.state(driver)]
    if lacking:
        why = f"has no driver {', '.join(lacking)}"
    else:
        why = "has no initramfs, and its drivers for it are modules"
    text = f"Kernel {kernel.version} {why}, so it cannot boot from {buses[0].name}, the disks of {situation.profile.name}."
    if served:
        draft.find("warning", f"{text} It can from {', '.join(served)}: attach the disks so.")
        return True
    draft.find("error", text + _advice(kernel))
    return False


def _advice(kernel):
    for suffix, package in LEAN_KERNELS:
        if kernel.version.endswith(suffix):
            return f" Install {package} on the source machine and capture it again."
    return " Install a kernel package with that driver on the source machine and capture it again."


def _extend(situation, draft, kernel, wanted):
    archive = kernel.archive
    modules = overlay.missing(kernel, wanted).modules
    extra = _configuration(situation, archive)
    extra.update(_load_list(situation, draft, kernel, modules))
    extra.update(_nic_names(situation, draft, kernel))
    if not modules and not extra:
        return
    if archive.bootconfig:
        raise FixupError(f"{kernel.initramfs} ends with a boot configuration, behind which nothing can be added.")
    data, listing = overlay.build(situation.tree, kernel, modules, extra)
    reason = "no driver is missing, but its configuration names old hardware"
    if modules:
        added = ", ".join(name for name in wanted if name in modules)
        reason = f"kernel {kernel.version} needs disk drivers that are not in its initramfs: {added}"
    draft.append(kernel.initramfs, archive.size, overlay.pack(archive, data, _gzip(situation, kernel)), listing, reason)


def _gzip(situation, kernel):
    """Every distribution kernel unpacks gzip; one that says it does not gets a plain archive."""
    path = f"/boot/config-{kernel.version}"
    return not (situation.tree.isfile(path) and "# CONFIG_RD_GZIP is not set" in situation.tree.read_text(path))


def _configuration(situation, archive):
    """Files of the initramfs that name old hardware, changed; also new ones that take back what another file says."""
    texts = {
        path: entry.data.decode("utf-8", "surrogateescape")
        for path, entry in archive.entries.items() if entry.data is not None and not path.endswith("/modules.dep")
    }
    changed = {path: disk_names.renamed_in_initramfs(situation, path, text) for path, text in texts.items()}
    for fixup in (lvm, md_arrays):
        changed.update(fixup.in_initramfs(texts))
    return {path: text.encode("utf-8", "surrogateescape") for path, text in changed.items() if text != texts.get(path)}


def _has_udev(archive):
    return any(path.rsplit("/", 1)[-1] in ("systemd-udevd", "udevd") for path in archive.entries)


def _load_list(situation, draft, kernel, modules):
    """For an initramfs without udev: initramfs-tools loads what conf/modules lists, here the drivers of this target only."""
    archive = kernel.archive
    if not modules or _has_udev(archive):
        return {}
    if "scripts/functions" not in archive.entries:
        draft.find(
            "warning",
            f"Nothing in {kernel.initramfs} is known to load drivers by itself. If the machine does not find its disks, this is why.",
        )
        return {}
    entry = archive.entries.get("conf/modules")
    text = entry.data.decode("utf-8", "surrogateescape") if entry is not None and entry.data else ""
    names = [name for name in situation.profile.disk_drivers if kernel.modules.state(name) == "module" and name not in text.split()]
    return {
        "conf/modules": (text + ("" if not text or text.endswith("\n") else "\n") + "".join(name + "\n" for name in names)).encode(
            "utf-8", "surrogateescape"
        )
    }


def _nic_names(situation, draft, kernel):
    """.link files that the network fix-up writes, where udev in the initramfs sees the NIC first and would name it."""
    archive = kernel.archive
    there = archive.modules(kernel.version)
    if not _has_udev(archive) or not any(
        driver in there or kernel.modules.state(driver) == "builtin" for driver in situation.profile.nic_drivers
    ):
        return {}
    found = {}
    for path in sorted(set(draft.pending(NAME_FILES)) | set(draft.glob(NAME_FILES + "/*agnostic-recovery*.link"))):
        inside = path.lstrip("/")
        content = draft.read(path)
        entry = archive.entries.get(archive.resolve(inside))
        if path.endswith(".link") and content is not None and (entry is None or entry.data != content):
            found[inside] = content
    return found


def _keep(situation, draft, usable, wanted):
    """Settings for the machine's own initramfs tool, where it has one."""
    available = [name for name in wanted if any(kernel.modules.state(name) == "module" for kernel in usable)]
    if not available:
        return
    if situation.tree.isfile(HOOK_FUNCTIONS):
        draft.write_text(HOOK, _hook(available), KEEP_REASON, 0o755)
    if any(situation.tree.isdir(folder) for folder in DRACUT_FOLDERS):
        draft.write_text(DRACUT_CONF, _dracut(available), KEEP_REASON)


def _hook(names):
    """initramfs-tools(7), "HOOK SCRIPTS"."""
    return (
        "#!/bin/sh\n"
        "# Disk drivers of the recovery target, for every initramfs that is built here. Written by agnostic.recovery; may be removed.\n"
        'case "$1" in\n'
        "prereqs)\n"
        "    exit 0\n"
        "    ;;\n"
        "esac\n"
        f". {HOOK_FUNCTIONS}\n"
        f"manual_add_modules {' '.join(names)}\n"
    )


def _dracut(names):
    """dracut.conf(5): the blanks inside the quotes matter."""
    return (
        "# Disk drivers of the recovery target, for every initramfs that is built here. Written by agnostic.recovery; may be removed.\n"
        f'add_drivers+=" {" ".join(names)} "\n'
    )
