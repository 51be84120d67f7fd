# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine's network on the target's NICs: interfaces keep their names, and their addresses are kept, asked for by DHCP, or mapped
to others.

One renderer a file, each for one tool that configures networks; a tool without a renderer is reported when its files would have to change.
"""

import ipaddress
import re

from typing import List

from ....errors import FixupError
from ...draft import Draft
from ...situation import Situation
from . import ifupdown, macs, naming, networkd
from .wishes import read_wishes

NAME = "network"

RENDERERS = (ifupdown, networkd)
MODES = ("keep", "dhcp", "mapped")
HOSTS = "/etc/hosts"


def plan(situation: Situation, draft: Draft) -> None:
    _check(situation.options.network)
    wishes = read_wishes(situation, draft)
    naming.plan(situation, draft, wishes)
    macs.plan(draft, wishes)
    for renderer in RENDERERS:
        renderer.plan(draft, wishes)
    if wishes.mode == "keep":
        return
    for wish in wishes.interfaces:
        for source in wish.sources:
            if not any(renderer.configures(source) for renderer in RENDERERS):
                draft.find(
                    "error",
                    f"{source} configures {wish.name}; the mode {wishes.mode} does not reach it yet. Use keep, or change that file.",
                )
    if wishes.mode == "mapped":
        _plan_hosts(draft, wishes)


def verify(situation: Situation) -> List[str]:
    """Each interface still has its configuration, and in the mode mapped no old address is left."""
    problems = []
    for nic in situation.nics:
        for address in nic.addresses:
            bare = address.address.split("/", 1)[0]
            if situation.options.network.mode == "mapped" and any(mapping.old == bare for mapping in situation.options.network.addresses):
                problems.append(f"{nic.source} still gives {bare} to {nic.name}.")
    return problems


def _check(options):
    if options.mode not in MODES:
        raise FixupError(f"{options.mode!r} is no network mode. Known are: {', '.join(MODES)}.")
    for mapping in options.addresses:
        try:
            ipaddress.ip_address(mapping.old)
            ipaddress.ip_interface(mapping.new)
            for address in (mapping.gateway,) * bool(mapping.gateway) + mapping.nameservers:
                ipaddress.ip_address(address)
        except ValueError as error:
            raise FixupError(f"The network mapping of {mapping.old} is wrong: {error}.")
        if "/" not in mapping.new:
            raise FixupError(f"The new address {mapping.new} for {mapping.old} has no prefix length, such as /24.")


def _plan_hosts(draft, wishes):
    text = draft.read_text(HOSTS)
    for mapping in wishes.addresses if text is not None else ():
        new = str(ipaddress.ip_interface(mapping.new).ip)
        text = re.sub(r"^(\s*)%s(?=\s)" % re.escape(mapping.old), lambda match, new=new: match.group(1) + new, text, flags=re.MULTILINE)
    if text is not None:
        draft.write_text(HOSTS, text, "the machine's own address changes")
