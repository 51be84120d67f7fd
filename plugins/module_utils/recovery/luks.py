# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys of LUKS volumes as the operator gives them, and the names that the machine itself gives to the opened volumes."""

from typing import NamedTuple

from ..errors import TargetError
from .specs import resolve_spec

_LONGEST = 32 << 10         # bytes; a key must fit into a pipe before it is read (pipe(7))


class LuksKey(NamedTuple):
    """A key that opens a LUKS volume."""
    secret: str             # passphrase, or what a key file holds
    volume: str = ""        # label ("sda3", "/dev/vg0/vault") or UUID of the volume; "": tried on each

    def is_for(self, label, uuid):
        return self.volume in ("", label) or self.volume.lower() == uuid.lower()

    def __repr__(self):
        return f"LuksKey({self.volume or 'any'})"


def read_keys(given):
    """The LuksKey of each dictionary with `passphrase` or `key_file`, and `volume`. Raises TargetError, which never holds the key."""
    return tuple(LuksKey(_secret(each), each.get("volume") or "") for each in given)


def _secret(given):
    """libguestfs takes a key as one line of text, so not every key file can be used."""
    path = given.get("key_file")
    if bool(path) == bool(given.get("passphrase")):
        raise TargetError("Each of luks_keys needs a passphrase or a key_file, and not both.")
    if not path:
        secret, where = given["passphrase"], "A passphrase in luks_keys"
    else:
        where = f"The LUKS key file {path}"
        try:
            with open(path, "rb") as stream:
                secret = stream.read(_LONGEST + 1).decode("utf-8", "surrogateescape")
        except OSError as error:
            raise TargetError(f"{where} cannot be read: {error.strerror}.") from error
    if not secret or len(secret) > _LONGEST or "\n" in secret or "\0" in secret:
        raise TargetError(f"{where} is empty, longer than {_LONGEST >> 10} KiB, or holds a line feed or a NUL, which libguestfs cannot take "
                          "as a key. Give a passphrase of the volume, or add one to it with cryptsetup luksAddKey.")
    return secret


def opened_names(crypttab, volumes):
    """{name: LUKS volume} by the lines of a crypttab(5): NAME SOURCE …, for those whose source is among the volumes."""
    found = {}
    for line in crypttab.splitlines():
        words = line.split()
        if len(words) >= 2 and not words[0].startswith("#"):
            volume = resolve_spec(words[1], "auto", volumes).volume
            if volume is not None and volume.content.kind == "luks":
                found[words[0]] = volume
    return found
