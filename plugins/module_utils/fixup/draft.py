# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The recovery image as it will be once the changes planned so far are made.

Fix-ups read and write through a draft, one after the other, so that two of them may change the same file. Nothing reaches the image.
"""

from typing import List, Optional, Tuple

from ..errors import MachineError
from .change import AppendArchive, Change, ChangeLink, Finding, RemoveFile, WriteFile


class Draft:
    def __init__(self, tree, additions=None):
        """`additions`: a dictionary that drafts for several targets of one image share, see below."""
        self.tree = tree
        self.fixup = ""                      # name of the fix-up that plans now
        self.changes = []                    # type: List[Change]
        self.findings = []                   # type: List[Finding]
        # Packed archives by what they are made of: to pack one takes longer than all else, and most targets need the same.
        self.additions = {} if additions is None else additions
        self._pending = {}                   # canonical path -> content, None: removed
        self._links = {}                     # canonical path -> target, None: removed

    def find(self, severity: str, text: str) -> None:
        """Adds a finding."""
        self.findings.append(Finding(self.fixup, severity, text))

    def read(self, path: str) -> Optional[bytes]:
        """The content of a regular file, None when there is none. One that cannot be read as such is reported and taken as absent."""
        place = self._place(path)
        if place is None:
            return None
        if place in self._pending:
            return self._pending[place]
        if not self.tree.exists(place):
            return None
        try:
            return self.tree.read_bytes(place)
        except MachineError as error:
            self.find("warning", f"{path} is left as it is: {error}")
            return None

    def read_text(self, path: str) -> Optional[str]:
        """The same as text; bytes that are no UTF-8 come back unchanged through `write_text`."""
        data = self.read(path)
        return None if data is None else data.decode("utf-8", "surrogateescape")

    def write(self, path: str, after: bytes, reason: str, mode: int = 0o644) -> None:
        """Plans a new content. The same content is no change."""
        place = self._place(path)
        if place is None:
            return
        before = self.read(place)
        if before is None and self.tree.exists(place) and place not in self._pending:
            return                           # something that is no readable file: reported by read
        if after != before:
            self._pending[place] = after
            self.changes.append(WriteFile(self.fixup, reason, place, before, after, mode))

    def write_text(self, path: str, text: str, reason: str, mode: int = 0o644) -> None:
        """The same as text."""
        self.write(path, text.encode("utf-8", "surrogateescape"), reason, mode)

    def remove(self, path: str, reason: str) -> None:
        before = self.read(path)
        if before is not None:
            place = self._place(path)
            self._pending[place] = None
            self.changes.append(RemoveFile(self.fixup, reason, place, before))

    def read_link(self, path: str) -> Optional[str]:
        """The target of a symbolic link, as written in it; None when there is no link."""
        place = self._place_of_link(path)
        if place in self._links:
            return self._links[place]
        return self.tree.readlink(place) if place is not None and self.tree.islink(place) else None

    def write_link(self, path: str, target: str, reason: str) -> bool:
        """Plans a symbolic link, new or instead of another link. Something else that is there stays: False then."""
        place = self._place_of_link(path)
        before = self.read_link(path)
        if place is None or before is None and (self._has(place) or self._pending.get(place) is not None):
            return False
        if before != target:
            self._links[place] = target
            self.changes.append(ChangeLink(self.fixup, reason, place, before, target))
        return True

    def remove_link(self, path: str, reason: str) -> None:
        place = self._place_of_link(path)
        before = self.read_link(path)
        if place is not None and before is not None:
            self._links[place] = None
            self.changes.append(ChangeLink(self.fixup, reason, place, before, None))

    def links(self, pattern: str) -> Tuple[str, ...]:
        """Paths of symbolic links in the image that match, wherever they lead, without those planned to be removed."""
        return tuple(path for path in self.tree.glob(pattern) if self.read_link(path) is not None)

    def append(self, path: str, offset: int, data: bytes, listing: Tuple[str, ...], reason: str) -> None:
        self.changes.append(AppendArchive(self.fixup, reason, self.tree.resolve(path), offset, data, listing))

    def pending(self, folder: str) -> Tuple[str, ...]:
        """Canonical paths below `folder` that are planned to exist with a new content."""
        return tuple(
            sorted(path for path, content in self._pending.items() if content is not None and path.startswith(folder.rstrip("/") + "/"))
        )

    def glob(self, pattern: str) -> Tuple[str, ...]:
        """Paths of regular files in the image that match, without those planned to be removed."""
        found = []
        for path in self.tree.glob(pattern):
            place = self._place(path)
            if place is not None and self._pending.get(place, b"") is not None and self.tree.isfile(path):
                found.append(path)
        return tuple(found)

    def _place(self, path):
        try:
            return self.tree.resolve(path, missing=True)
        except MachineError as error:
            self.find("warning", f"{path} is left as it is: {error}")
            return None

    def _place_of_link(self, path):
        """Canonical up to the last name, which is not followed."""
        folder, _slash, name = path.rpartition("/")
        place = self._place(folder or "/")
        return None if place is None else place.rstrip("/") + "/" + name

    def _has(self, place):
        try:
            self.tree.stat(place, follow=False)
            return self._links.get(place, "") is not None
        except MachineError:
            return False
