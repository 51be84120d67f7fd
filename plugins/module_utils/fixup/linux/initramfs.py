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

from ...errors import FixupError, MachineError
from ...machine.model import OsRelease
from ...machine.osrelease import read_os_release
from ...target.profile import all_disk_drivers
from ..draft import Draft
from ..situation import BootKernel, Situation
from . import disk_names, dracut_waits, driver_loading, kernel_packages, lvm, md_arrays, overlay, rebuild, root_stack
from .names import read_names

NAME = "initramfs"

NAME_FILES = "/etc/systemd/network"
# dracut's module "squash": the initramfs proper is in a file system of its own, which is mounted over what an addition brings.
SQUASHED = ("squash-root.img", "squashfs-root.img", "erofs-root.img", "squash/root.img")


def plan(situation: Situation, draft: Draft) -> None:
    """Raises FixupError when no kernel can read the target's disks."""
    usable = []
    done = {}                                    # path of an initramfs -> whether all is well with it
    for kernel in situation.kernels:
        if not _check(situation, draft, kernel):
            continue
        if kernel.initramfs and not kernel.unified and kernel.initramfs not in done:
            try:
                _extend(situation, draft, kernel)
                done[kernel.initramfs] = True
            except (FixupError, MachineError) as error:      # one kernel's damage is no harm to the others
                draft.find("error", f"Kernel {kernel.version} is left as it is: {error}")
                done[kernel.initramfs] = False
        if done.get(kernel.initramfs, True):
            usable.append(kernel)
    if not usable:
        raise FixupError(
            f"No kernel that the boot loader can start can read the disks of the target {situation.profile.name}. "
            + " ".join(finding.text for finding in draft.findings if finding.fixup == NAME))
    drivers = [name for name in _union(situation) if any(kernel.modules.state(name) == "module" for kernel in usable)]
    rebuild.plan(draft, drivers)


def verify(situation: Situation) -> List[str]:
    problems = []
    for kernel in situation.kernels:
        if not kernel.initramfs or kernel.unified or not _served_buses(situation, kernel) or kernel.archive and _squashed(kernel):
            continue                             # nothing to do there, or it was said that nothing can be done
        if kernel.archive is None:
            problems.append(f"The initramfs of kernel {kernel.version} cannot be read: {kernel.problem}")
            continue
        wanted = _wanted(situation, kernel)
        lacking = overlay.missing(kernel, wanted)
        if lacking:
            try:
                _addition(situation, kernel, lacking, {})
            except (FixupError, MachineError):
                continue                         # it was said that nothing can be done
            problems.append(f"{kernel.initramfs} lacks {', '.join(lacking)} for kernel {kernel.version}.")
        if driver_loading.load_list(kernel, _loaded(situation, kernel)):
            problems.append(f"{kernel.initramfs} holds drivers of the target and does not load them.")
        if not driver_loading.is_nash(kernel.archive):
            problems.extend(_unlisted(kernel, wanted))
    return problems


def _unlisted(kernel, wanted):
    listed, there = overlay.listed(kernel.archive, kernel.version), kernel.archive.modules(kernel.version)
    return [
        f"{kernel.initramfs} holds {name}, but its modules.dep does not list that file."
        for name in kernel.modules.closure(wanted)
        if name in there and not (name in listed and there[name].endswith("/" + listed[name].lstrip("/")))
    ]


def _union(situation):
    return all_disk_drivers() if situation.options.drivers == "union" else situation.profile.disk_drivers


def _wanted(situation, kernel):
    # nash loads each module that its script names, whether there is such hardware or not.
    disk_drivers = situation.profile.disk_drivers if driver_loading.is_nash(kernel.archive) else _union(situation)
    return disk_drivers + root_stack.drivers(situation, kernel)


def _loaded(situation, kernel):
    """What is loaded by name where nothing loads by itself: not the drivers of other targets, for hardware that is not there.

    Tools other than nash load what the root lies on when they come to it.
    """
    stack = root_stack.drivers(situation, kernel) if driver_loading.is_nash(kernel.archive) else ()
    return situation.profile.disk_drivers + stack


def _squashed(kernel):
    return any(path in kernel.archive.entries for path in SQUASHED)


def _served_buses(situation, kernel):
    """The names of the target's buses that this kernel can be made to read."""
    return tuple(bus.name for bus in situation.profile.buses if all(overlay.state(kernel, driver) for driver in bus.drivers))


def _check(situation, draft, kernel: BootKernel) -> bool:
    """Whether a kernel can be made to read the target's disks; says so if not, or if it will do on some of the buses only."""
    if kernel.problem:
        draft.find("error", f"Kernel {kernel.version} is left as it is: {kernel.problem}")
        return False
    # Others of the menu start the machine; this one is for those who choose it by hand.
    severity = "warning" if "rescue" in kernel.initramfs.rsplit("/", 1)[-1] else "error"
    if kernel.archive is not None and not kernel.unified and _squashed(kernel) and overlay.missing(kernel, situation.profile.disk_drivers):
        draft.find(
            severity,
            f"Kernel {kernel.version} is left as it is: {kernel.initramfs} keeps its files in a squashfs image, to which nothing can "
            'be added. On the source machine build it without dracut\'s module "squash" (omit_dracutmodules, dracut.conf(5)), and capture '
            "the machine again.",
        )
        return False
    served = _served_buses(situation, kernel)
    buses = situation.profile.buses
    if buses[0].name in served:
        return True
    lacking = ", ".join(driver for driver in buses[0].drivers if not overlay.state(kernel, driver))
    why = f"has no driver {lacking}"
    if kernel.unified:
        why = f"comes with its initramfs in one file, {kernel.image}, which lacks {lacking} and cannot be extended"
    elif not kernel.initramfs and all(kernel.modules.state(driver) for driver in buses[0].drivers):
        why = "has no initramfs, and its drivers for it are modules"
    elif kernel.initramfs and not kernel.modules.directory:
        why = f"has no folder in /lib/modules any more, and {kernel.initramfs} lacks {lacking}"
    text = f"Kernel {kernel.version} {why}, so it cannot boot from {buses[0].name}, the disks of {situation.profile.name}."
    if served:
        draft.find("warning", f"{text} It can from {', '.join(served)}: attach the disks so.")
        return True
    draft.find(severity, f"{text} {_advice(situation, kernel)}")
    return False


def _advice(situation, kernel):
    if kernel.initramfs and not kernel.modules.directory:
        return "Start another kernel: without its modules nothing can be done for this one."
    wanted = situation.profile.buses[0].drivers
    if all(kernel.modules.state(driver) for driver in wanted):
        names = " ".join(driver for driver in wanted if kernel.modules.state(driver) == "module")
        if not kernel.unified:
            return "Build an initramfs for it on the source machine, let the boot loader load it, and capture the machine again."
        return (
            f'On the source machine put add_drivers+=" {names} " into a file in /etc/dracut.conf.d, or MODULES+=({names}) into one in '
            "/etc/mkinitcpio.conf.d, build the image anew and capture the machine again; or start a kernel that has an initramfs file."
        )
    try:
        system = read_os_release(situation.tree)
    except MachineError:
        system = OsRelease()
    return kernel_packages.advice(system, kernel.version)


def _extend(situation, draft, kernel):
    """Raises FixupError or MachineError when what the initramfs needs cannot be added."""
    archive = kernel.archive
    wanted = _wanted(situation, kernel)
    modules = overlay.missing(kernel, wanted)
    extra = _configuration(situation, archive)
    extra.update(dracut_waits.changed(archive, read_names(situation.disks)))
    extra.update(_load_list(situation, draft, kernel, modules))
    extra.update(_nic_names(situation, draft, kernel))
    if not modules and not extra:
        return
    made_of = (kernel.initramfs, kernel.version, modules, tuple(sorted(extra.items())))
    if made_of not in draft.additions:
        data, listing = _addition(situation, kernel, modules, extra)
        draft.additions[made_of] = overlay.pack(archive, data, _gzip(situation, kernel)), listing
    data, listing = draft.additions[made_of]
    reason = "no driver is missing, but its configuration names old hardware"
    if modules:
        added = ", ".join(name for name in wanted if name in modules)
        reason = f"kernel {kernel.version} needs disk drivers that are not in its initramfs: {added}"
    draft.append(kernel.initramfs, archive.size, data, listing, reason)


def _addition(situation, kernel, modules, extra):
    if kernel.archive.bootconfig:
        raise FixupError(f"{kernel.initramfs} ends with a boot configuration, behind which nothing can be added.")
    return overlay.build(situation.tree, kernel, modules, extra)


def _gzip(situation, kernel):
    """Every distribution kernel unpacks gzip; one that says it does not gets a plain archive."""
    path = f"/boot/config-{kernel.version}"
    return not (situation.tree.isfile(path) and "# CONFIG_RD_GZIP is not set" in situation.tree.read_text(path))


def _configuration(situation, archive):
    """Files of the initramfs that name old hardware, changed; also new ones that take back what another file says."""
    texts = {
        path: entry.data.decode("utf-8", "surrogateescape")
        for path, entry in archive.entries.items() if entry.data is not None and not path.endswith(("/modules.dep", "/modules.builtin"))
    }
    changed = {path: disk_names.renamed_in_initramfs(situation, path, text) for path, text in texts.items()}
    for fixup in (lvm, md_arrays):
        changed.update(fixup.in_initramfs(texts))
    return {path: text.encode("utf-8", "surrogateescape") for path, text in changed.items() if text != texts.get(path)}


def _load_list(situation, draft, kernel, modules):
    changed = driver_loading.load_list(kernel, _loaded(situation, kernel))
    if changed is None and modules:
        draft.find(
            "warning",
            f"Nothing in {kernel.initramfs} is known to load drivers by itself. If the machine does not find its disks, this is why.",
        )
    return changed or {}


def _nic_names(situation, draft, kernel):
    """.link files that the network fix-up writes, where udev in the initramfs sees the NIC first and would name it."""
    archive = kernel.archive
    there = archive.modules(kernel.version)
    if not driver_loading.by_alias(archive) or not any(
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
