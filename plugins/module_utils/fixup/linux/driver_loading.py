# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who loads the drivers in an initramfs, and what must be told to it.

udev does it by itself, from the aliases in the index of modules, in the images of dracut (with systemd or without), of initramfs-tools,
of mkinitcpio's hooks `udev` and `systemd`, of SUSE's mkinitrd from SLES 11 on; so does Alpine's nlplug-findfs. Others load what a list
in the image names:
    conf/modules   one name a line (initramfs-tools(7), "modules")
    config         shell, MODULES="…" (mkinitcpio: written by mkinitcpio, read by its init)
    init           a script for nash, `insmod /lib/NAME.ko` in the order of need (mkinitrd of Red Hat up to RHEL 5, nash(8)); such an image
                   has its modules flat in /lib and no index
"""

import re

from typing import Dict, Optional, Tuple

from ...machine.initramfs import Initramfs
from ...machine.modules import module_name
from ..situation import BootKernel

BY_ALIAS = ("systemd-udevd", "udevd", "nlplug-findfs")
LIST, CONFIG, NASH = "conf/modules", "config", "init"

_SHEBANG = re.compile(r"\A#![ \t]*/s?bin/nash\b")
_INSMOD = re.compile(r"^[ \t]*insmod[ \t]+(?P<path>\S+)[^\n]*\n", re.MULTILINE)
_MODULES = re.compile(r"""^MODULES=(?P<quote>["']?)(?P<names>[^"'\n]*)(?P=quote)[ \t]*$""", re.MULTILINE)


def by_alias(archive: Initramfs) -> bool:
    return any(path.rsplit("/", 1)[-1] in BY_ALIAS for path in archive.entries)


def is_nash(archive: Initramfs) -> bool:
    return _SHEBANG.match(_text(archive, NASH) or "") is not None


def load_list(kernel: BootKernel, drivers: Tuple[str, ...]) -> Optional[Dict[str, bytes]]:
    """Changed files of the initramfs, by path, with which it loads these drivers; empty: nothing need be told. None: nobody knows how."""
    archive = kernel.archive
    if by_alias(archive):
        return {}
    names = [name for name in drivers if kernel.modules.state(name) == "module"]
    if is_nash(archive):
        path, text = NASH, _nash(_text(archive, NASH), [kernel.modules.files[name] for name in kernel.modules.closure(names)])
    elif _MODULES.search(_text(archive, CONFIG) or ""):
        path, text = CONFIG, _MODULES.sub(lambda match: _config(match, names), _text(archive, CONFIG))
    elif "scripts/functions" in archive.entries:
        path, text = LIST, _listed(_text(archive, LIST) or "", names)
    else:
        return None
    if text is None:
        return None
    return {} if text == (_text(archive, path) or "") else {path: text.encode("utf-8", "surrogateescape")}


def _text(archive, path):
    entry = archive.entries.get(path)
    return None if entry is None or entry.data is None else entry.data.decode("utf-8", "surrogateescape")


def _listed(text, names):
    new = [name for name in names if name not in {line.split()[0].replace("-", "_") for line in text.split("\n") if line.split()}]
    return text + ("" if not text or text.endswith("\n") else "\n") + "".join(name + "\n" for name in new)


def _config(match, names):
    old = match.group("names").split()
    return 'MODULES="%s"' % " ".join(old + [name for name in names if name not in [module_name(word) for word in old]])


def _nash(text, files):
    """Behind the last module that is loaded: what the new ones need may be among the old ones. None: no module is loaded at all."""
    loaded = list(_INSMOD.finditer(text))
    if not loaded:
        return None
    have = {module_name(match.group("path")) for match in loaded}
    bare = [path.rsplit("/", 1)[-1] for path in files if module_name(path) not in have]
    lines = "".join(f'echo "Loading {name} module"\ninsmod /lib/{name} \n' for name in bare)
    return text[:loaded[-1].end()] + lines + text[loaded[-1].end():]
