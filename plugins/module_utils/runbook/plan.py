# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a drill or failover: which image of each machine comes back where, in which wave, and what speaks against it.

A plan is data, made of what the inventory wants and of what the repository has; nothing is done by it. Its id is a digest of all that will
be done, so who confirms an id confirms exactly that: with another image or another size the id is another.
"""

import hashlib
import ipaddress
import json

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ..errors import RecoveryError
from ..image.manifest import ImageInfo
from ..target.profile import PROFILES
from .evidence import parse_time
from .room import Place, needs, shortages
from .rpo import parse_duration
from .summary import duration_text, size_text

KINDS = ("drill", "failover")
PROVIDERS = ("aws", "libvirt", "openstack", "qemu")
NETWORK_MODES = ("keep", "dhcp", "mapped")


class Wanted(NamedTuple):
    """What the inventory wants of a machine."""
    machine: str
    wave: int = 1
    required: bool = True                # later waves need it
    image: str = "latest"                # latest, an image's id, or a time in UTC
    provider: str = "qemu"
    target: str = "kvm"                  # target profile
    worker: str = "localhost"
    cloud: str = ""                      # entry of clouds.yaml, an account: where a provider that needs one makes machines
    path: str = ""                       # of several ways that a provider has, such as cinder or glance
    size: Dict[str, Any] = {}            # as the provider understands it: memory (MiB) and cpus, or a type
    network: Dict[str, Any] = {}         # mode, address, addresses ...: what the target's network is to be
    rpo: str = ""                        # how old the image may be, "": nothing is promised
    checks: Tuple[str, ...] = ()         # names of the checks


class Planned(NamedTuple):
    """A machine of the plan."""
    wanted: Wanted
    image: Optional[ImageInfo]           # None: there is none
    age: int = 0                         # seconds from the begin of its capture
    verdict: str = ""                    # what its capture found about the target: as_is with_changes no not_judged, "": nothing


class Finding(NamedTuple):
    level: str                           # error: the plan cannot be run; warning
    machine: str                         # "": the plan as a whole
    text: str


class Plan(NamedTuple):
    id: str
    kind: str
    machines: Tuple[Planned, ...]        # by wave, then in the order of the inventory
    findings: Tuple[Finding, ...]

    @property
    def waves(self) -> List[int]:
        return sorted({planned.wanted.wave for planned in self.machines})

    @property
    def runnable(self) -> bool:
        return not any(finding.level == "error" for finding in self.findings)


def make_plan(kind: str, wanted: Sequence[Wanted], images: Dict[str, ImageInfo], missing: Dict[str, str], now: float,
              places: Sequence[Place] = ()) -> Plan:
    """The plan for these machines.

    :param images: the chosen image of each machine that has one.
    :param missing: why there is none, for each other machine.
    :param now: seconds since 1970.
    :param places: what room there is where the machines are recovered, as far as somebody has looked.

    Raises RecoveryError where nothing is wanted.
    """
    if not wanted:
        raise RecoveryError("There is no machine to recover: no host of the inventory was chosen.")
    machines = []
    for each in sorted(wanted, key=lambda each: each.wave):
        image = images.get(each.machine)
        age = max(0, int(now - parse_time(image.created))) if image else 0
        machines.append(Planned(each, image, age, image.recoverable.get(each.target, "") if image else ""))
    findings = [finding for planned in machines for finding in _about(planned, missing)]
    return Plan(_plan_id(kind, machines), kind, tuple(machines), tuple(findings + _twice(machines) + _clashes(machines) + _room(machines, places)))


def _plan_id(kind, machines):
    # The image, not how it was asked for: "latest" and the id of the latest are one plan.
    content = [kind] + [dict(planned.wanted._asdict(), image=planned.image.id if planned.image else None) for planned in machines]
    return "plan-" + hashlib.sha256(json.dumps(content, sort_keys=True, default=list).encode("utf-8")).hexdigest()[:10]


def _about(planned, missing):
    """What speaks against one machine."""
    wanted, image = planned.wanted, planned.image
    problems = []
    if wanted.target not in PROFILES:
        problems.append(("error", f"dr_target {wanted.target!r} is no target profile; there are {', '.join(sorted(PROFILES))}."))
    if wanted.provider not in PROVIDERS:
        problems.append(("error", f"dr_provider {wanted.provider!r} is not one of {', '.join(PROVIDERS)}."))
    mode = wanted.network.get("mode", "keep")
    if mode not in NETWORK_MODES:
        problems.append(("error", f"dr_network.mode {mode!r} is not one of {', '.join(NETWORK_MODES)}."))
    if image is None:
        problems.append(("error", missing.get(wanted.machine, "There is no image of it.")))
    elif wanted.rpo and planned.age > parse_duration(wanted.rpo):
        problems.append(("warning", f"Its image is {duration_text(planned.age)} old, older than the {wanted.rpo} that were promised."))
    if planned.verdict == "no":
        problems.append(("warning", f"Its capture found that it cannot be recovered on {wanted.target}; image_info with "
                                    "machine_model says why and what helps."))
    if not wanted.checks:
        problems.append(("warning", "It has no checks (dr_checks), so nothing will prove that it serves."))
    return [Finding(level, wanted.machine, text) for level, text in problems]


def _twice(machines):
    names = [planned.wanted.machine for planned in machines]
    return [Finding("error", name, "Two hosts of the inventory name this machine (dr_machine); one run recovers it once.")
            for name in sorted(set(names)) if names.count(name) > 1]


def _clashes(machines):
    """Addresses that two machines would have in the same network."""
    holders = {}                         # type: Dict[Tuple[str, str], List[str]]
    for planned in machines:
        network = planned.wanted.network
        if planned.wanted.provider == "qemu" and not network.get("segment"):
            continue                     # such a guest has a network of its own
        place = str(network.get("segment") or network.get("network") or "")
        for address in _addresses(network):
            holders.setdefault((place, address), []).append(planned.wanted.machine)
    return [Finding("error", names[0], f"It and {', '.join(names[1:])} would both have the address {address}.")
            for (_place, address), names in sorted(holders.items()) if len(names) > 1]


def _room(machines, places):
    """No errors: a run that goes on has taken some of the room itself."""
    demands = [needs(planned.wanted, planned.image) for planned in machines if planned.image]
    return [Finding("warning", "", text) for text in shortages(demands, places)]


def _addresses(network):
    texts = [network.get("address")] + [each.get("address") for each in network.get("addresses") or () if isinstance(each, dict)]
    for text in texts:
        try:
            if text:
                yield str(ipaddress.ip_interface(str(text)).ip)
        except ValueError:
            continue                     # the fix-up of the network says what is wrong with it


def plan_lines(plan: Plan) -> List[str]:
    """The plan as an operator reads it before anything happens."""
    count = len(plan.machines)
    lines = [f"{plan.kind} {plan.id}: {count} machine{'s' * (count > 1)} in {len(plan.waves)} wave{'s' * (len(plan.waves) > 1)}"]
    for wave in plan.waves:
        lines.append(f"wave {wave}")
        for planned in plan.machines:
            if planned.wanted.wave == wave:
                lines += _machine_lines(planned)
    for level in ("error", "warning"):
        lines += [f"{level}: {finding.machine + ': ' if finding.machine else ''}{finding.text}"
                  for finding in plan.findings if finding.level == level]
    return lines


def _machine_lines(planned):
    wanted, image = planned.wanted, planned.image
    size = ", ".join(f"{name} {value}" for name, value in sorted(wanted.size.items()))
    network = wanted.network
    where = [str(network[name]) for name in ("segment", "address") if network.get(name)]
    rows = [f"  {wanted.machine}{'' if wanted.required else ' (later waves do not need it)'}"]
    if image:
        promise = f", {'within' if planned.age <= parse_duration(wanted.rpo) else 'beyond'} its RPO of {wanted.rpo}" if wanted.rpo else ""
        rows.append(f"    image    {image.id}, {image.consistency}, {duration_text(planned.age)} old{promise}")
        rows.append(f"    disks    {', '.join(f'{disk.name} {size_text(disk.size)}' for disk in image.disks)}; "
                    f"{size_text(image.used)} to restore")
    rows.append(f"    target   {wanted.provider}, profile {wanted.target}, worker {wanted.worker}{', ' + size if size else ''}"
                + (f"; {planned.verdict.replace('_', ' ')}" if planned.verdict else ""))
    rows.append(f"    network  {network.get('mode', 'keep')}{' ' if where else ''}{' '.join(where)}")
    rows.append(f"    checks   {', '.join(wanted.checks) or 'none'}")
    return rows
