# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From volumes to an assembled root: where the root is, and all that its fstab mounts.

The way is the same for mounts on this worker (`local.LocalHands`) and inside an appliance (`backends.guestfs.ApplianceHands`); only the
hands differ: `volumes`, `can_hold_root`, `roots_on`, `mount`, `resolve`, `text`, `name_opened`, `finish`.
"""

from typing import NamedTuple, Tuple

from ..errors import MachineError, TargetError
from ..machine.fstab import parse_fstab
from .model import CannotMount, Missing, MountedVolume, PlannedMount
from .plan import clean_path, plan_mounts


class NotReachable(TargetError):
    """The machine's root, or what is required beside it, cannot be mounted this way.

    :param appliance_may: whether an appliance might do it.
    """

    def __init__(self, message, appliance_may):
        super().__init__(message)
        self.appliance_may = appliance_may


class Hidden(NamedTuple):
    """What the disks hold that this worker does not look into."""
    containers: Tuple[str, ...]     # of machine.model.CONTAINERS
    keys_given: bool = False        # for LUKS

    @property
    def may_be_opened(self):
        """Whether an appliance may find more inside."""
        return bool(set(self.containers) - (set() if self.keys_given else {"luks"}))

    @property
    def words(self):
        if not self.containers:
            return ""
        advice = " The option luks_keys holds no key for a LUKS volume." if "luks" in self.containers else ""
        return f" The disks hold {', '.join(self.containers)}, where it may be hidden.{advice}"


class Assembly(NamedTuple):
    mounts: Tuple[MountedVolume, ...]
    missing: Tuple[Missing, ...]
    unresolved: bool        # names in fstab fit no volume; it may be hidden inside LVM or MD
    unmountable: bool       # a volume that was found cannot be mounted this way


def assemble(hands, read_only, wanted_root, hidden):
    """Mounts root and the rest. `wanted_root` is as in `root_name`, or a volume's label, or "": find it. Returns an Assembly.

    Raises NotReachable; TargetError where the choice is not clear.
    """
    volume, subvolume = choose_root(hands, wanted_root, hidden)
    options = (f"subvol={subvolume}",) if subvolume else ()
    try:
        mounts = [hands.mount(PlannedMount("/", volume, options, read_only, True), "/")]
        entries = parse_fstab(hands.text("/etc/fstab"))
        hands.name_opened(hands.text("/etc/crypttab"))
    except (CannotMount, MachineError) as error:
        raise NotReachable(f"The root file system cannot be used. {error}", isinstance(error, CannotMount)) from error
    plan = plan_mounts(entries, hands.volumes, read_only)
    for each in plan.missing_required:
        raise NotReachable(_required(each, hidden.words), hidden.may_be_opened)
    missing, unmountable = list(plan.missing), False
    for planned in plan.mounts:
        try:
            mounts.append(_mount_one(hands, planned, mounts))
        except (CannotMount, MachineError) as error:
            left_out = Missing(_spec_of(entries, planned.path), planned.path, str(error))
            if planned.required:
                raise NotReachable(_required(left_out, ""), isinstance(error, CannotMount)) from error
            missing.append(left_out)
            unmountable = unmountable or isinstance(error, CannotMount)
    return Assembly(tuple(mounts), tuple(missing), bool(plan.missing), unmountable)


def choose_root(hands, wanted, hidden):
    """(volume, subvolume) of the machine's root. Raises NotReachable if there is none, TargetError if there are several."""
    candidates = [volume for volume in hands.volumes if hands.can_hold_root(volume) and wanted.partition(":")[0] in ("", volume.label)]
    found, reasons = [], []
    for volume in candidates:
        try:
            found += [(volume, subvolume) for subvolume in hands.roots_on(volume)]
        except CannotMount as error:
            reasons.append(str(error))
    if ":" in wanted:
        found = [each for each in found if root_name(*each) == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(root_name(*each) for each in found)
        raise TargetError(f"The disks hold several root file systems: {names}. Say which one to use with the option root.")
    looked = ", ".join(volume.label for volume in candidates) or "none"
    detail = "".join(f" {reason}." for reason in reasons)
    raise NotReachable(f"No root file system of a Linux machine was found{f' on {wanted}' if wanted else ''} (looked at: {looked})."
                       f"{detail}{hidden.words}", bool(reasons) or hidden.may_be_opened)


def root_name(volume, subvolume):
    """What the option `root` calls a root: "sda2", or "sda2:@" where it lies in a subvolume of btrfs."""
    return f"{volume.label}:{subvolume}" if subvolume else volume.label


def _mount_one(hands, planned, mounts):
    path = hands.resolve(planned.path)
    if path in [each.path for each in mounts]:
        raise MachineError(f"its mount point leads to {path}, which is a mount point already")
    return hands.mount(planned, path)


def _required(missing, more):
    return f"{missing.path} ({missing.spec} in fstab) cannot be mounted: {missing.reason}.{more}"


def _spec_of(entries, path):
    return next((entry.spec for entry in entries if clean_path(entry.path) == path), "")
