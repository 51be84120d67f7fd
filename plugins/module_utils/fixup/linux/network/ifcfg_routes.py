# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands beside ifcfg files, in the modes dhcp and mapped: routes of an interface (route-eth0 of Red Hat, ifroute-eth0 of SUSE, both
in their sysconfig.txt and routes(5)), routes of all (SUSE's `routes`, GATEWAY= in Red Hat's /etc/sysconfig/network), SUSE's name servers
(netconfig(8)).
"""

import ipaddress
import re

from ....machine.network.ifcfg import RED_HAT, SUSE, SUSE_ROUTES
from ...draft import Draft
from .ifcfg import read_assignments, with_value
from .wishes import REASONS, Wishes

RED_HAT_GLOBAL = "/etc/sysconfig/network"          # a folder on SUSE
SUSE_CONFIG = SUSE + "/config"
SERVERS = "NETCONFIG_DNS_STATIC_SERVERS"
REASON_ROUTES = "the routes lead over the source's network"

_VIA = re.compile(r"(?P<head>.*\bvia\s+)(?P<value>\S+)(?P<tail>.*)\Z")
_SUSE_ROUTE = re.compile(r"(?P<head>\s*[^#\s]\S*\s+)(?P<value>\S+)(?P<tail>(?:\s+(?P<mask>\S+))?(?:\s+(?P<device>\S+))?.*)\Z")


def plan(draft: Draft, wishes: Wishes) -> None:
    if wishes.mode == "keep":
        return
    for nic in wishes.nics:
        new = wishes.readdressed(nic)
        if not wishes.asks_dhcp(nic) and new is None:
            continue
        if nic.source.startswith(RED_HAT + "/"):
            name = nic.source.rsplit("/ifcfg-", 1)[-1]
            for path in (f"{RED_HAT}/route-{name}", f"{RED_HAT}/route6-{name}"):
                _plan(draft, wishes, path, lambda line: True, _red_hat_route, new)
            if draft.tree.isfile(RED_HAT_GLOBAL):
                _plan(draft, wishes, RED_HAT_GLOBAL, lambda line, nic=nic: _is_gateway(line, nic), _red_hat_route, new)
        elif nic.source.startswith(SUSE + "/"):
            _plan(draft, wishes, f"{SUSE}/ifroute-{nic.name}", lambda line: True, _suse_route, new)
            _plan(draft, wishes, SUSE_ROUTES, lambda line, nic=nic: _is_route_of(line, nic), _suse_route, new)
    _plan_servers(draft, wishes)


def _plan(draft, wishes, path, concerns, edit, new):
    """The lines of a file that `concerns` says so of: comments in the mode dhcp, else what `edit` makes of them."""
    text = draft.read_text(path)
    if text is None:
        return
    result = []
    for line in text.split("\n"):
        if not line.strip() or line.lstrip().startswith("#") or not concerns(line):
            result.append(line)
        else:
            result.append("#" + line if new is None else edit(line, new))
    draft.write_text(path, "\n".join(result), REASON_ROUTES if new is None else REASONS[wishes.mode])


def _red_hat_route(line, new):
    via = _VIA.match(line)
    if via:
        return via.group("head") + new.gateway(via.group("value")) + via.group("tail")
    assignment = read_assignments(line)[0]
    return with_value(assignment, new.gateway(assignment.value)) if re.match(r"GATEWAY[0-9]*\Z", assignment.key) else line


def _suse_route(line, new):
    route = _SUSE_ROUTE.match(line)
    return route.group("head") + new.gateway(route.group("value")) + route.group("tail") if route else line


def _is_gateway(line, nic):
    assignment = read_assignments(line)[0]
    return assignment.key in ("GATEWAY", "IPV6_DEFAULTGW") and _reaches(nic, assignment.value)


def _is_route_of(line, nic):
    route = _SUSE_ROUTE.match(line)
    if route is None:
        return False
    device = route.group("device") or "-"
    return device == nic.name or device == "-" and _reaches(nic, route.group("value"))


def _reaches(nic, text):
    try:
        address = ipaddress.ip_address(text.split("%", 1)[0])
    except ValueError:
        return False
    return any(address in ipaddress.ip_interface(own.address).network for own in nic.addresses)


def _plan_servers(draft, wishes):
    """Fixed name servers of SUSE go before those of DHCP, and each name would wait for them."""
    own = [nic for nic in wishes.nics if nic.source.startswith(SUSE + "/")]
    new = [readdressed for readdressed in map(wishes.readdressed, own) if readdressed is not None]
    servers = list(dict.fromkeys(server for readdressed in new for server in readdressed.nameservers()))
    text = draft.read_text(SUSE_CONFIG) if servers or any(map(wishes.asks_dhcp, own)) else None
    if text is not None:
        lines = [with_value(line, " ".join(servers)) if line.key == SERVERS else line.text for line in read_assignments(text)]
        draft.write_text(SUSE_CONFIG, "\n".join(lines), REASONS[wishes.mode])
