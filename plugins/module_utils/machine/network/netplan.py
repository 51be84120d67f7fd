# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Netplan's YAML files: netplan-yaml reference, netplan.readthedocs.io."""

from ...errors import MachineError
from .draft import Draft, is_default
from .yaml_text import parse_yaml, plain

FOLDERS = ("/lib/netplan", "/etc/netplan")    # /run does not survive a boot; a file hides one of the same name in an earlier folder
KINDS = {"ethernets": "", "bonds": "bond", "bridges": "bridge", "vlans": "vlan", "dummy-devices": "other", "vrfs": "other"}
FILE_LIMIT = 256 * 1024                       # bytes; no sound file comes near
YES = ("true", "on", "yes", "y")              # in any case: handle_bool in netplan's src/parse.c


def read_netplan(tree, warn):
    """One `Nic` for each interface but wireless ones. A definition with `match` has the name that it sets, else the one it matches."""
    return list(read_identified(tree, warn).values())


def read_identified(tree, warn):
    """{identity: `Nic`}: the word that files use for an interface need not be its name."""
    definitions = _read_definitions(tree, warn)
    found = {}
    for identity, (kind, definition, source) in definitions.items():
        try:
            found[identity] = _nic(definitions, identity, kind, definition, source, warn)
        except (TypeError, AttributeError, ValueError):
            warn(f"{source}: the definition of {identity} is not understood.")
    return found


def _read_definitions(tree, warn):
    """{identity: (kind, definition of all files united, last file that has it)}; values are text."""
    files = {}
    for folder in FOLDERS:
        files.update((path.rsplit("/", 1)[-1], path) for path in tree.glob(f"{folder}/*.yaml"))
    found = {}
    for name in sorted(files):
        for kind, identity, definition in _read_file(tree, files[name], warn):
            before = found[identity][1] if identity in found else {}
            found[identity] = kind, _united(before, definition), files[name]
    return found


def _name(identity, definition):
    """Of the interface that a definition is of, or a pattern of names; "" when it is known by another property alone."""
    match = definition.get("match") or {}
    return _scalar(definition.get("set-name") or match.get("name") or ("" if match else identity))


def _read_file(tree, path, warn):
    try:
        network = plain(parse_yaml(tree.read_text(path, limit=FILE_LIMIT)))
    except MachineError as error:
        warn(f"The netplan file {path} is not read: {error}")
        return []
    network = network.get("network") if isinstance(network, dict) else None
    found = []
    for section, kind in KINDS.items() if isinstance(network, dict) else ():
        members = network.get(section)
        if isinstance(members, dict):
            for identity, definition in members.items():
                if definition is None or isinstance(definition, dict):
                    found.append((kind, identity, definition or {}))
    return found


def _united(old, new):
    """As netplan merges files: scalars are replaced, lists joined, mappings inside (match, nameservers) united."""
    result = dict(old)
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            before = result[key]
            result[key] = dict(before, **{name: _joined(before.get(name), value[name]) for name in value})
        else:
            result[key] = _joined(result.get(key), value)
    return result


def _joined(old, new):
    return old + new if isinstance(old, list) and isinstance(new, list) else new


def _nic(definitions, identity, kind, definition, source, warn):
    draft = Draft(_name(identity, definition), source, warn)
    draft.kind = kind
    below = list(definition.get("interfaces") or ()) + ([definition["link"]] if definition.get("link") else [])
    draft.lower = [_name(lower, definitions[lower][1]) if lower in definitions else _scalar(lower) for lower in below]
    draft.set_mac(_scalar((definition.get("match") or {}).get("macaddress") or ""))
    draft.add_method("manual")
    if is_yes(definition.get("dhcp4")) or is_yes(definition.get("dhcp6")):
        draft.add_method("dhcp")
    for address in definition.get("addresses") or ():
        draft.add_address(_scalar(next(iter(address)) if isinstance(address, dict) else address))
    for key in ("gateway4", "gateway6"):
        if definition.get(key):
            draft.add_gateway(_scalar(definition[key]))
    for route in definition.get("routes") or ():
        if route.get("via") and not (is_default(_scalar(route.get("to") or "")) and route.get("table")):
            draft.add_route(_scalar(route.get("to") or ""), _scalar(route["via"]))
    nameservers = definition.get("nameservers") or {}
    draft.add_nameservers([_scalar(address) for address in nameservers.get("addresses") or ()])
    return draft.nic()


def is_yes(value):
    return isinstance(value, str) and value.lower() in YES


def _scalar(value):
    if not isinstance(value, str):
        raise TypeError("not a plain value")
    return value
