# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which operating system a root holds, and how the machine calls itself.

os-release(5) where it exists; before 2012 each family had a file of its own.
"""

import re
import shlex

from ..errors import MachineError
from .model import OsRelease

# file, ID, ID_LIKE, for systems without os-release; the more special file comes first.
OLD_FILES = (
    ("/etc/oracle-release", "ol", ("fedora",)),
    ("/etc/centos-release", "centos", ("rhel", "fedora")),
    ("/etc/redhat-release", "rhel", ("fedora",)),
    ("/etc/SuSE-release", "sles", ("suse",)),
    ("/etc/debian_version", "debian", ()),
)


def read_os_release(tree):
    """The `OsRelease` of a root. Raises `MachineError` if nothing in it says which system it is."""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        if tree.isfile(path):
            values = parse_assignments(tree.read_text(path))
            return OsRelease(
                id=values.get("ID", "linux"),
                version=values.get("VERSION_ID", ""),
                name=values.get("PRETTY_NAME", values.get("NAME", "Linux")),
                like=tuple(values.get("ID_LIKE", "").split()),
            )
    for path, own, like in OLD_FILES:
        if tree.isfile(path):
            return _from_old_file(tree.read_text(path), own, like)
    raise MachineError(f"The root file system at {tree.root} does not say which operating system it is: it has no os-release file.")


def _from_old_file(text, own, like):
    name = text.split("\n", 1)[0].strip()
    version = re.search(r"[0-9]+(?:\.[0-9]+)*", name)
    if own == "rhel" and name.startswith("CentOS"):
        own, like = "centos", ("rhel", "fedora")
    if own == "debian":
        name = f"Debian GNU/Linux {name}"
    return OsRelease(own, version.group(0) if version else "", name, like)


def read_hostname(tree):
    """The static host name, "" if none is configured."""
    for path in ("/etc/hostname", "/etc/HOSTNAME"):
        if tree.isfile(path):
            for line in tree.read_text(path).split("\n"):
                if line.strip() and not line.startswith("#"):
                    return line.strip()
    if tree.isfile("/etc/sysconfig/network"):    # RHEL 6 and older
        return parse_assignments(tree.read_text("/etc/sysconfig/network")).get("HOSTNAME", "")
    return ""


def parse_assignments(text):
    """A file of shell assignments as a dictionary. Nothing is expanded; the last assignment to a name holds."""
    values = {}
    for line in text.split("\n"):
        match = re.match(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)", line)
        if match is None:
            continue
        try:
            words = shlex.split(match.group(2))
        except ValueError:    # an open quote
            words = [match.group(2).strip().strip("\"'")]
        values[match.group(1)] = words[0] if words and not match.group(2).lstrip().startswith("#") else ""
    return values
