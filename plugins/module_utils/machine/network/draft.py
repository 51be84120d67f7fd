# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all readers of network configuration share: a NIC in the making, addresses and MACs in one form, and INI files."""

import ipaddress
import re

from ..model import Address, Nic, Route

METHODS = ("static", "dhcp", "manual")    # of several, the first of these names the interface's method


class Draft:
    """One interface while its lines are read. Faults of single values are told to `warn`, not raised."""

    def __init__(self, name, source, warn):
        self.name = name
        self.source = source
        self.mac = ""
        self.kind = ""                        # as in `Nic`
        self.lower = []                       # names of interfaces that it is built on
        self._warn = warn
        self._methods = set()
        self._addresses = []
        self._gateways = []
        self._nameservers = []
        self._routes = []

    def add_method(self, method):
        """One of `METHODS`; any automatic configuration counts as "dhcp"."""
        self._methods.add(method)

    def add_address(self, address, mask=""):
        """`address` may carry its own prefix length; else `mask` is a prefix length or a dotted mask."""
        text = address if "/" in address or not mask else f"{address}/{mask}"
        try:
            self._addresses.append(ipaddress.ip_interface(_stripped(text)))
            self._methods.add("static")
        except ValueError:
            self._warn(f'{self.source}: "{text}" of interface {self.name or "?"} is no address.')

    def reaches(self, address):
        """Whether `address` lies in a network of one of the addresses."""
        try:
            other = ipaddress.ip_address(_stripped(address))
        except ValueError:
            return False
        return any(other in own.network for own in self._addresses)

    def add_gateway(self, address):
        try:
            self._gateways.append(ipaddress.ip_address(_stripped(address)))
        except ValueError:
            self._warn(f'{self.source}: "{address}" of interface {self.name or "?"} is no gateway address.')

    def add_route(self, destination, gateway):
        """`destination` is one that `is_default` or a network; a dotted mask may follow the slash."""
        if is_default(destination):
            self.add_gateway(gateway)
            return
        try:
            route = Route(str(ipaddress.ip_network(destination, strict=False)), str(ipaddress.ip_address(_stripped(gateway))))
        except ValueError:
            self._warn(f'{self.source}: the route to "{destination}" via "{gateway}" of interface {self.name or "?"} is none.')
            return
        if route not in self._routes:
            self._routes.append(route)

    def add_nameservers(self, addresses):
        self._nameservers.extend(address for address in addresses if address not in self._nameservers)

    def set_mac(self, text):
        self.mac = mac_address(text)

    def nic(self):
        gateways = list(self._gateways)
        addresses = []
        for address in dict.fromkeys(self._addresses):
            gateway = next((other for other in gateways if other.version == address.version), None)
            if gateway is not None:
                gateways.remove(gateway)
            addresses.append(Address(str(address), str(gateway) if gateway is not None else ""))
        method = next((method for method in METHODS if method in self._methods), "")
        return Nic(self.name, self.mac, method, tuple(addresses), tuple(self._nameservers), self.source, self.kind,
                   tuple(dict.fromkeys(self.lower)), tuple(self._routes))


def put_below(drafts, uppers):
    """Tells interfaces what they are built on, where the configuration says it the other way round.

    `drafts` are of one tool; `uppers` is [(name of the lower interface, name of the one built on it), …].
    """
    for lower, upper in uppers:
        for draft in drafts:
            if draft.name == upper:
                draft.lower.append(lower)


def mac_address(text):
    """Lower case with colons; "" for what is no MAC address, such as "permanent"."""
    digits = re.sub(r"[:.-]", "", text.strip().lower())
    if not re.match(r"[0-9a-f]{12}$", digits):
        return ""
    return ":".join(digits[index:index + 2] for index in range(0, 12, 2))


def is_default(destination):
    return destination in ("", "default", "0.0.0.0/0", "0.0.0.0/0.0.0.0", "::/0", "0.0.0.0", "::")


def parse_ini(text):
    """[(section, [(key, value), …]), …] in order: unlike configparser, sections and keys may repeat, as systemd allows.

    Lines continued by a backslash are joined. "#" and ";" begin comments at the start of a line only.
    """
    sections = []
    for line in re.sub(r"\\\n", " ", text).split("\n"):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and line.endswith("]"):
            sections.append((line[1:-1], []))
        elif sections and "=" in line:
            key, _equals, value = line.partition("=")
            sections[-1][1].append((key.strip(), value.strip()))
    return sections


def _stripped(address):
    """Without blanks and without a zone: fe80::1%eth0."""
    return re.sub(r"%[^/]*", "", address.strip())
