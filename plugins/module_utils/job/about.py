# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the engine has to work with on this host: Python, platform, optional libraries."""

import importlib
import os
import platform
import re
import sys

from ..image.codec import Zlib, new_compressor

# What each library is imported by. "zstd" may also be the system's libzstd.
_MODULES = {"cryptography": "cryptography.hazmat.primitives.ciphers.aead", "boto3": "boto3", "openstack": "openstack"}
_OLDEST_GLIBC = 5       # manylinux1 is glibc 2.5 (PEP 513)
_OLD_NAMES = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}     # PEP 600


def about():
    """{"python": "3.9", "platforms": [tags of wheels that work here, the best first], "libraries": {name: bool}, "distribution": {"id",
    "like": [ids], "version"}}
    """
    libraries = {name: _can_import(module) for name, module in _MODULES.items()}
    libraries["zstd"] = not isinstance(new_compressor(1 << 20), Zlib)
    return {"python": "%d.%d" % sys.version_info[:2], "platforms": platforms(_glibc_minor(), platform.machine()), "libraries": libraries,
            "distribution": distribution()}


def platforms(glibc_minor, machine):
    """Platform tags of PEP 600 for glibc 2.`glibc_minor`; none where there is no glibc (None)."""
    found = []
    for minor in range(glibc_minor or 0, _OLDEST_GLIBC - 1, -1):
        found.append("manylinux_2_{0}_{1}".format(minor, machine))
        if minor in _OLD_NAMES:
            found.append("{0}_{1}".format(_OLD_NAMES[minor], machine))
    return found


def distribution(path="/etc/os-release"):
    """From os-release(5); empty values where it says nothing."""
    values = {}
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            values = dict(re.findall("^([A-Z_]+)=[\"']?([^\"'\n]*)", handle.read(), re.M))
    except OSError:
        pass
    return {"id": values.get("ID", ""), "like": values.get("ID_LIKE", "").split(), "version": values.get("VERSION_ID", "")}


def _glibc_minor():
    try:
        name = os.confstr("CS_GNU_LIBC_VERSION") or ""       # "glibc 2.36"
    except (OSError, ValueError):
        return None
    found = re.match(r"glibc 2\.(\d+)", name)
    return int(found.group(1)) if found else None


def _can_import(module):
    try:
        importlib.import_module(module)
        return True
    except Exception:      # pylint: disable=broad-except  # a broken library is as good as none, whatever it raises
        return False
