# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Netplan's YAML files. They need PyYAML on the host that reads the root; without it they are only pointed out."""

from ...errors import MachineError
from .draft import Draft, is_default

try:
    import yaml
except ImportError:
    yaml = None

FOLDERS = ("/lib/netplan", "/etc/netplan")    # /run does not survive a boot; a file hides one of the same name in an earlier folder
SECTIONS = ("ethernets", "bonds", "bridges", "vlans")
FILE_LIMIT = 256 * 1024                       # bytes; YAML is slow to read, and no sound file comes near


def read_netplan(tree, warn):
    """One `Nic` for each interface but wireless ones. A definition with `match` has the name that it sets, else the one it matches."""
    files = {}
    for folder in FOLDERS:
        files.update((path.rsplit("/", 1)[-1], path) for path in tree.glob(f"{folder}/*.yaml"))
    if files and yaml is None:
        warn(f"{', '.join(sorted(files.values()))}: netplan files are not read, because this host has no PyYAML. "
             "Install python3-yaml to have them read.")
        return []
    definitions, sources = {}, {}
    for name in sorted(files):
        for identity, definition in _read_file(tree, files[name], warn):
            definitions[identity] = _united(definitions.get(identity, {}), definition)
            sources[identity] = files[name]
    found = []
    for identity, definition in definitions.items():
        try:
            found.append(_nic(identity, definition, sources[identity], warn))
        except (TypeError, AttributeError, ValueError):
            warn(f"{sources[identity]}: the definition of {identity} is not understood.")
    return found


def _read_file(tree, path, warn):
    try:
        data = yaml.safe_load(tree.read_bytes(path, limit=FILE_LIMIT))
    except (MachineError, yaml.YAMLError, ValueError, RecursionError) as error:
        warn(f"The netplan file {path} is not read: {error}")
        return []
    network = data.get("network") if isinstance(data, dict) else None
    if not isinstance(network, dict):
        return []
    found = []
    for section in SECTIONS:
        members = network.get(section)
        if isinstance(members, dict):
            found.extend((str(identity), definition) for identity, definition in members.items() if isinstance(definition, dict))
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


def _nic(identity, definition, source, warn):
    match = definition.get("match") or {}
    draft = Draft(_scalar(definition.get("set-name") or match.get("name") or ("" if match else identity)), source, warn)
    draft.set_mac(_scalar(match.get("macaddress") or ""))
    draft.add_method("manual")
    if definition.get("dhcp4") or definition.get("dhcp6"):
        draft.add_method("dhcp")
    for address in definition.get("addresses") or ():
        draft.add_address(_scalar(next(iter(address)) if isinstance(address, dict) else address))
    for key in ("gateway4", "gateway6"):
        if definition.get(key):
            draft.add_gateway(_scalar(definition[key]))
    for route in definition.get("routes") or ():
        if is_default(_scalar(route.get("to", ""))) and route.get("via") and not route.get("table"):
            draft.add_gateway(_scalar(route["via"]))
    nameservers = definition.get("nameservers") or {}
    draft.add_nameservers([_scalar(address) for address in nameservers.get("addresses") or ()])
    return draft.nic()


def _scalar(value):
    """Text of a plain value. Anything nested is refused: YAML aliases make small files whose text would fill the memory."""
    if not isinstance(value, (str, int, float)):
        raise TypeError("not a plain value")
    return str(value)
