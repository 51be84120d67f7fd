# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""/etc/network/interfaces of Debian's ifupdown: interfaces(5)."""

import re

from ...errors import MachineError
from .draft import Draft, put_below

MAIN_FILE = "/etc/network/interfaces"
MAX_FILES = 1000    # that "source" lines may bring in

LISTS = {"bridge_ports": "bridge", "bond_slaves": "bond"}       # options that name what an interface is built on
NO_PORTS = ("none", "all", "regex", "noregex")                 # words there that are no interface: bridge-utils-interfaces(5)

METHODS = {"static": "static", "dhcp": "dhcp", "auto": "dhcp", "bootp": "dhcp", "v4tunnel": "static", "6to4": "static"}


def read_ifupdown(tree, warn):
    """One `Nic` for each interface but loopback; the stanzas of both families and of aliases (eth0:1) are united."""
    if not tree.isfile(MAIN_FILE):
        return []
    drafts = {}
    seen = set()
    waiting = [MAIN_FILE]
    while waiting and len(seen) < MAX_FILES:
        path = waiting.pop(0)
        try:
            path = tree.resolve(path)    # else each round of a circle would look like a new file
            if path in seen:
                continue
            seen.add(path)
            text = tree.read_text(path)
        except MachineError as error:
            warn(f"A file of network interfaces is not read: {error}")
            continue
        waiting.extend(_read_file(tree, path, text, drafts, warn))
    put_below(drafts.values(), [upper for draft in drafts.values() for upper in draft.uppers])
    return [draft.nic() for draft in drafts.values()]


class _Interface(Draft):
    """Its ports may say what they belong to, instead of it naming them."""

    def __init__(self, name, source, warn):
        super().__init__(name, source, warn)
        self.uppers = []
        if "." in name:                  # vlan-interfaces(5): eth0.5
            self.kind, self.lower = "vlan", [name.rsplit(".", 1)[0]]


def _read_file(tree, path, text, drafts, warn):
    """Fills `drafts` from one file and returns the files that it sources."""
    sourced = []
    stanza = None
    for line in re.sub(r"\\\n", " ", text).split("\n"):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        command, arguments = words[0], words[1:]
        if command in ("source", "source-directory"):
            stanza = _finish(stanza)
            for argument in arguments:
                sourced.extend(_sourced(tree, path, argument, command == "source-directory"))
        elif command == "iface" and len(arguments) >= 3:
            stanza = _finish(stanza)
            stanza = _begin(drafts, path, arguments, warn)
        elif command in ("iface", "auto", "mapping", "rename", "template") or command.startswith(("allow-", "no-auto-down", "no-scripts")):
            stanza = _finish(stanza)
        elif stanza is not None and arguments:
            stanza.option(command, arguments)
    _finish(stanza)
    return sourced


def _sourced(tree, path, pattern, is_directory):
    if not pattern.startswith("/"):
        pattern = path.rsplit("/", 1)[0] + "/" + pattern
    found = []
    for match in tree.glob(pattern):
        if tree.isdir(match):
            # only such names are read from a folder; leaves out left-overs like eth0.bak
            found.extend(f"{match}/{name}" for name in tree.listdir(match) if re.match(r"[A-Za-z0-9_-]+$", name))
        elif not is_directory:
            found.append(match)
    return [name for name in found if tree.isfile(name)]


def _begin(drafts, path, arguments, warn):
    name, _family, method = arguments[:3]
    if name == "lo" or name.startswith("lo:") or method == "loopback":
        return None
    name = name.split(":", 1)[0]
    draft = drafts.setdefault(name, _Interface(name, path, warn))
    draft.add_method(METHODS.get(method, "manual"))
    return _Stanza(draft)


def _finish(stanza):
    if stanza is not None:
        stanza.finish()


class _Stanza:
    """The options of one iface line; address and netmask may come in any order, so they are joined at the end."""

    def __init__(self, draft):
        self._draft = draft
        self._address = ""
        self._netmask = ""

    def option(self, name, words):
        if name == "address":
            self._flush()
            self._address = words[0]
        elif name == "netmask":
            self._netmask = words[0]
        elif name == "gateway" and words[0] != "none":
            self._draft.add_gateway(words[0])
        elif name in ("dns-nameservers", "dns-nameserver"):
            self._draft.add_nameservers(words)
        else:
            self._built_on(name.replace("-", "_"), words)

    def _built_on(self, name, words):
        """Bonds and bridges have options with "-" and with "_": ifenslave, bridge-utils, ifupdown2."""
        draft = self._draft
        if name in LISTS:
            draft.kind = LISTS[name]
            draft.lower.extend(word for word in words if word not in NO_PORTS)
        elif name == "vlan_raw_device":
            draft.kind, draft.lower = "vlan", [words[0]]
        elif name == "bond_mode":
            draft.kind = "bond"
        elif name == "bond_master":
            draft.uppers.append((draft.name, words[0]))

    def finish(self):
        self._flush()

    def _flush(self):
        if self._address:
            self._draft.add_address(self._address, self._netmask)
        self._address = ""
