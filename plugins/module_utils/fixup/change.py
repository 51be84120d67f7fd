# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What fix-ups want to change in a recovery image: values, nothing is done here.

A path is canonical in the root of the image: "/etc/fstab", free of links; the last name of a `ChangeLink` is the link itself. Several
changes may follow each other on one path; each starts from what the one before it leaves.
"""

import difflib
import hashlib

from typing import Any, Dict, NamedTuple, Optional, Sequence, Tuple, Union


class WriteFile(NamedTuple):
    """A regular file gets a new content, or comes to be. An existing one keeps owner, mode and extended attributes."""
    fixup: str
    reason: str
    path: str
    before: Optional[bytes]          # None: there was no file
    after: bytes
    mode: int = 0o644                # permissions of a new file


class RemoveFile(NamedTuple):
    fixup: str
    reason: str
    path: str
    before: bytes


class ChangeLink(NamedTuple):
    """A symbolic link comes to be, gets another target or goes. Targets are text as written in the link; nothing follows them."""
    fixup: str
    reason: str
    path: str
    before: Optional[str]            # None: there was nothing
    after: Optional[str]             # None: it goes


class AppendArchive(NamedTuple):
    """Bytes come to stand behind the present end of an initramfs; what is in front stays as it is."""
    fixup: str
    reason: str
    path: str
    offset: int                      # bytes: the size of the file before
    data: bytes                      # with the zeros that align it
    listing: Tuple[str, ...]         # paths in the appended archive


Change = Union[WriteFile, RemoveFile, ChangeLink, AppendArchive]


class Finding(NamedTuple):
    """Something that the operator should know and that no change can mend."""
    fixup: str
    severity: str                    # info warning error; "error": the machine will not do on the target what it did before
    text: str


class Plan(NamedTuple):
    target: str                      # name of the target profile
    changes: Tuple[Change, ...]
    findings: Tuple[Finding, ...]


def action(change: Change) -> str:
    """created, changed, removed or extended."""
    if isinstance(change, RemoveFile) or isinstance(change, ChangeLink) and change.after is None:
        return "removed"
    if isinstance(change, AppendArchive):
        return "extended"
    return "created" if change.before is None else "changed"


def summary(change: Change) -> Dict[str, Any]:
    """A change as JSON data for reports: what and why, with sizes and digests instead of contents."""
    data = {"fixup": change.fixup, "path": change.path, "reason": change.reason, "action": action(change)}
    if isinstance(change, AppendArchive):
        data.update(size_before=change.offset, bytes_added=len(change.data), sha256_added=_digest(change.data), entries=len(change.listing))
    elif isinstance(change, ChangeLink):
        data.update(link=change.after)
    elif isinstance(change, WriteFile):
        data.update(size=len(change.after), sha256=_digest(change.after))
    return data


def plan_data(plan: Plan) -> Dict[str, Any]:
    """The whole plan as JSON data."""
    return {
        "target": plan.target,
        "changes": [_printable(summary(change)) for change in plan.changes],
        "findings": [_printable(finding._asdict()) for finding in plan.findings],
    }


def _printable(data):
    """Bytes of names that are no UTF-8 are lone surrogates in text, which JSON cannot carry safely: they become backslash escapes."""
    return {key: _escaped(value) if isinstance(value, str) else value for key, value in data.items()}


def _escaped(text):
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def diff(changes: Sequence[Change]) -> Tuple[Dict[str, str], ...]:
    """One dict for each changed path, in the form of Ansible's diff mode ("prepared")."""
    first, last, appended = {}, {}, {}
    for change in changes:
        if isinstance(change, AppendArchive):
            appended.setdefault(change.path, []).append(change)
            continue
        first.setdefault(change.path, _content(change, "before"))
        last[change.path] = None if isinstance(change, RemoveFile) else _content(change, "after")
    parts = [_file_diff(path, first[path], last[path]) for path in first if first[path] != last[path]]
    parts.extend(_archive_diff(path, archives) for path, archives in appended.items())
    return tuple({"prepared": _escaped(part)} for part in parts)


def _content(change, side):
    value = getattr(change, side)
    return f"symbolic link to {value}\n".encode("utf-8", "surrogateescape") if isinstance(value, str) else value


def _file_diff(path, before, after):
    old, new = _lines(before), _lines(after)
    if old is None or new is None:
        return f"--- {path}\n+++ {path}\n-{_size(before)}\n+{_size(after)}\n"
    heads = ("/dev/null" if before is None else path), ("/dev/null" if after is None else path)
    return "".join(
        line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in difflib.unified_diff(old, new, *heads)
    )


def _archive_diff(path, archives):
    lines = [f"--- {path}", f"+++ {path}"]
    for change in archives:
        lines.append(f" {change.offset} bytes that stay")
        lines.append(f"+{len(change.data)} bytes appended, holding:")
        lines.extend(f"+  {name}" for name in change.listing)
    return "\n".join(lines) + "\n"


def _lines(content):
    if content is None:
        return []
    if b"\0" in content:
        return None
    return content.decode("utf-8", "replace").splitlines(True)


def _size(content):
    return "nothing" if content is None else f"{len(content)} bytes, SHA-256 {_digest(content)}"


def _digest(data):
    return hashlib.sha256(data).hexdigest()
