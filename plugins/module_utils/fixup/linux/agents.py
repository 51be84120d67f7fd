# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Agents of the old platform do not start on the target; those of the target are missed, not installed.

On a foreign platform an agent at best fails at each boot; at worst it waits for a metadata server, takes the network or accounts into its
hands, or talks to the old platform as a second machine of the same identity. They are only disabled, so that nothing is lost for the way
back: systemd units lose their links in *.wants and are masked as systemctl(1) mask does it, System V scripts lose their start links,
Upstart jobs get an override (Upstart Cookbook, "Override files": manual).

Names are those of the files in the packages: open-vm-tools, VirtualBox Guest Additions (vboxadd.sh), hyperv-daemons and Debian's
hyperv-daemons, Ubuntu's linux-cloud-tools-common, qemu-guest-agent, WALinuxAgent, guest-agent of GoogleCloudPlatform, amazon-ssm-agent,
xe-guest-utilities, Parallels Tools. Agents of NAVER Cloud are not known: their names are not documented.
"""

from typing import List, NamedTuple, Tuple

from ..draft import Draft
from ..situation import Situation

NAME = "agents"

UNITS = "/etc/systemd/system"
UNIT_FOLDERS = (UNITS, "/usr/lib/systemd/system", "/lib/systemd/system")
WANTS = (UNITS + "/*.wants/", UNITS + "/*.requires/")
INIT_SCRIPTS = ("/etc/init.d/", "/etc/rc.d/init.d/")
START_LINKS = ("/etc/rc?.d/", "/etc/rc.d/rc?.d/", "/etc/init.d/rc?.d/")
JOBS = "/etc/init"
MASK = "/dev/null"


class Agent(NamedTuple):
    name: str
    units: Tuple[str, ...]               # systemd, with aliases
    scripts: Tuple[str, ...] = ()        # System V and Upstart


AGENTS = (
    Agent(
        "open-vm-tools",
        (
            "open-vm-tools.service", "vmtoolsd.service", "vgauth.service", "vgauthd.service", "vmware-tools.service",
            "vmware-tools-thinprint.service", "vmware-vmblock-fuse.service", "run-vmblock\\x2dfuse.mount",
        ),
        ("open-vm-tools", "vmtoolsd", "vmware-tools", "vmware-tools-thinprint"),
    ),
    Agent(
        "virtualbox-guest-additions",
        ("vboxadd.service", "vboxadd-service.service", "vboxadd-x11.service", "vboxservice.service", "virtualbox-guest-utils.service"),
        ("vboxadd", "vboxadd-service", "vboxadd-x11", "virtualbox-guest-utils"),
    ),
    Agent("parallels-tools", ("prltoolsd.service",), ("prltoolsd",)),
    Agent(
        "xen-guest-utilities",
        ("xe-linux-distribution.service", "xe-daemon.service", "xen-guest-agent.service"),
        ("xe-linux-distribution", "xe-daemon"),
    ),
    Agent(
        "hyperv-daemons",
        (
            "hypervkvpd.service", "hypervvssd.service", "hypervfcopyd.service", "hv-kvp-daemon.service", "hv-vss-daemon.service",
            "hv-fcopy-daemon.service", "hyperv-daemons.hv-kvp-daemon.service", "hyperv-daemons.hv-vss-daemon.service",
            "hyperv-daemons.hv-fcopy-daemon.service", "hv_kvp_daemon.service", "hv_vss_daemon.service", "hv_fcopy_daemon.service",
        ),
        (
            "hypervkvpd", "hypervvssd", "hypervfcopyd", "hv-kvp-daemon", "hv-vss-daemon", "hv-fcopy-daemon", "hv_kvp_daemon",
            "hv_vss_daemon",
        ),
    ),
    Agent("qemu-guest-agent", ("qemu-guest-agent.service", "qemu-ga.service"), ("qemu-guest-agent", "qemu-ga")),
    Agent(
        "walinuxagent",
        ("walinuxagent.service", "waagent.service", "waagent-network-setup.service", "walinuxagent-network-setup.service"),
        ("walinuxagent", "waagent"),
    ),
    Agent(
        "google-guest-agent",
        (
            "google-guest-agent.service", "google-guest-agent-manager.service", "google-guest-compat-manager.service",
            "google-instance-setup.service", "google-accounts-daemon.service", "google-clock-skew-daemon.service",
            "google-network-daemon.service", "google-startup-scripts.service", "google-shutdown-scripts.service",
            "google-osconfig-agent.service",
        ),
        (
            "google-instance-setup", "google-accounts-daemon", "google-clock-skew-daemon", "google-network-daemon",
            "google-startup-scripts", "google-shutdown-scripts", "google-osconfig-agent",
        ),
    ),
    Agent(
        "amazon-ssm-agent", ("amazon-ssm-agent.service", "snap.amazon-ssm-agent.amazon-ssm-agent.service"), ("amazon-ssm-agent",),
    ),
)


def plan(situation: Situation, draft: Draft) -> None:
    wanted = situation.profile.agents
    for agent in AGENTS:
        if agent.name not in wanted:
            _disable(draft, agent, situation.profile.name)
        elif not _installed(draft, agent) and agent.name == wanted[0]:
            draft.find(
                "info",
                f"The image has no {agent.name}, with which {situation.profile.name} talks to its guests. "
                "The machine boots without it; install it there.",
            )
        for unit in agent.units if agent.name in wanted else ():
            if draft.read_link(f"{UNITS}/{unit}") == MASK:
                draft.find("warning", f"{unit} belongs to the target and is masked. If it should run there: systemctl unmask {unit}.")


def verify(situation: Situation) -> List[str]:
    draft = Draft(situation.tree)
    problems = []
    for agent in AGENTS:
        if agent.name not in situation.profile.agents:
            problems.extend(f"{path} still starts {agent.name}." for path in _starting(draft, agent))
    return problems


def _installed(draft, agent):
    return bool(_units(draft, agent)) or any(
        draft.tree.isfile(place + script) for script in agent.scripts for place in INIT_SCRIPTS
    ) or any(draft.tree.isfile(f"{JOBS}/{script}.conf") for script in agent.scripts)


def _units(draft, agent):
    """The names of the agent's units that there are; a mask alone is none."""
    return [
        unit for unit in agent.units if any(_is_unit(draft, f"{folder}/{unit}") for folder in UNIT_FOLDERS)
    ]


def _is_unit(draft, path):
    target = draft.read_link(path)
    return target not in (None, MASK) or draft.tree.isfile(path)


def _starting(draft, agent):
    """Links that start something of the agent at boot."""
    found = [path for wants in WANTS for unit in agent.units for path in draft.links(wants + unit.replace("\\", "[\\]"))]
    found.extend(path for place in START_LINKS for script in agent.scripts for path in draft.links(f"{place}S[0-9][0-9]{script}"))
    return tuple(dict.fromkeys(found))


def _disable(draft, agent, target):
    reason = f"{agent.name} belongs to another platform than {target}"
    for path in _starting(draft, agent):
        draft.remove_link(path, reason)
    units = _units(draft, agent)
    # A script of System V without a unit of its own is started by systemd through one that systemd-sysv-generator(8) makes.
    scripts = [script for script in agent.scripts if any(draft.tree.isfile(place + script) for place in INIT_SCRIPTS)]
    if draft.tree.isdir(UNITS):
        units.extend(f"{script}.service" for script in scripts)
        for unit in dict.fromkeys(units):
            if not draft.write_link(f"{UNITS}/{unit}", MASK, reason):
                draft.find(
                    "warning",
                    f"{UNITS}/{unit} is a file of the machine's own, so {agent.name} is not masked and may be started by others. "
                    f"On the machine: systemctl disable {unit}.",
                )
    for script in agent.scripts:
        if draft.tree.isfile(f"{JOBS}/{script}.conf"):
            text = draft.read_text(f"{JOBS}/{script}.override") or ""
            if "manual" not in text.split("\n"):
                draft.write_text(f"{JOBS}/{script}.override", text + ("" if not text or text.endswith("\n") else "\n") + "manual\n", reason)
