# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal of applied changes, kept inside the recovery image, from which undo brings back every byte.

    /var/lib/agnostic.recovery/fixups/<n>/journal.json    what is changed, and the status of everything before
    /var/lib/agnostic.recovery/fixups/<n>/original-<k>    the content before, of files that are changed or removed

Symbolic links need no original: their target stands in the journal.

Everything is on disk before the first edit; so a run killed at any moment can be undone. Of an extended initramfs only the old length
and the digest of what is in front are kept, since that part is never touched.

The format of journal.json: {"format": 1, "state": "begun" | "applied" | "undone", "target", "created" (ISO 8601, UTC), "changes":
[summaries], "entries": [{"path", "kind": "write" | "remove" | "append" | "link", "status" or null, "original" (name or null),
"size_before", "sha256_before", "sha256_after"; kind "link" has "link_before" (target or null)}], "made": [folders], "folders": [{"path",
"atime", "mtime"}]}; times are ns since 1970, extended attributes base64.
"""

import base64
import hashlib
import json
import os
import stat
import time

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ..errors import FixupError, MachineError
from . import writer
from .change import AppendArchive, Change, ChangeLink, Plan, RemoveFile, summary
from .labels import Labels

FOLDER = "/var/lib/agnostic.recovery/fixups"
FORMAT = 1

_BLOCK = 1024 * 1024


class Edit(NamedTuple):
    """All changes of one path together: the journal and the image know only first and last."""
    path: str
    kind: str                            # write remove append link
    before: Optional[bytes]              # None: no file, or kind "append"; of "link" the target
    after: Optional[bytes]               # of "append": what is added; of "link" the target, None: it goes
    mode: int
    offset: int                          # of "append"


def edits(changes: Sequence[Change]) -> Tuple[Edit, ...]:
    """One edit for each path, in the order in which the paths come first. Changes that cancel each other are left out."""
    found = {}                           # type: Dict[str, Edit]
    for change in changes:
        old = found.get(change.path)
        if isinstance(change, AppendArchive):
            if old is not None:
                raise FixupError(f"{change.path} would be changed in two ways at once.")
            found[change.path] = Edit(change.path, "append", None, change.data, 0, change.offset)
            continue
        if old is not None and (old.kind == "link") != isinstance(change, ChangeLink):
            raise FixupError(f"{change.path} would be changed in two ways at once.")
        if isinstance(change, ChangeLink):
            first = old.before if old is not None else _target_bytes(change.before)
            found[change.path] = Edit(change.path, "link", first, _target_bytes(change.after), 0, 0)
            continue
        before = old.before if old is not None else change.before
        if isinstance(change, RemoveFile):
            found[change.path] = Edit(change.path, "remove", before, b"", 0, 0)
        else:
            found[change.path] = Edit(
                change.path, "write", before, change.after, old.mode if old is not None and old.mode else change.mode, 0
            )
    return tuple(
        edit for edit in found.values()
        if edit.kind == "append" or (edit.before is not None if edit.kind == "remove" else edit.before != edit.after)
    )


def _target_bytes(target):
    return None if target is None else target.encode("utf-8", "surrogateescape")


def numbers(tree) -> List[int]:
    """The journals in the image, oldest first."""
    if not tree.isdir(FOLDER):
        return []
    return sorted(int(name) for name in tree.listdir(FOLDER) if name.isdigit() and tree.isfile(f"{FOLDER}/{name}/journal.json"))


def read(tree, number: int) -> Dict[str, Any]:
    path = f"{FOLDER}/{number}/journal.json"
    try:
        data = json.loads(tree.read_bytes(path, limit=64 * 1024 * 1024).decode("utf-8", "surrogateescape"))
    except (ValueError, MachineError) as error:
        raise FixupError(f"The journal {path} cannot be read, so its changes cannot be undone: {error}")
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise FixupError(f"The journal {path} has a format that this version does not know.")
    if not _is_sound(data):
        raise FixupError(f"The journal {path} is damaged, so its changes cannot be undone. Restore the image again.")
    return data


def _is_sound(data):
    """Whether it has the form that `undo` relies on: the image, and so its journal, may come from anywhere."""
    def has(value, **types):
        return isinstance(value, dict) and all(isinstance(value.get(name), kind) for name, kind in types.items())

    def status(value):
        return value is None or has(value, mode=int, uid=int, gid=int, atime=int, mtime=int, xattrs=dict) and len(value) == 6

    return (
        has(data, state=str, entries=list, made=list, folders=list)
        and all(
            has(entry, path=str, kind=str, original=(str, type(None)), size_before=int, sha256_before=str, sha256_after=str)
            and status(entry.get("status"))
            and "/" not in (entry["original"] or "")
            and isinstance(entry.get("link_before"), (str, type(None)))
            # A link is brought back with both, its target and its status, or not at all.
            and (entry["kind"] != "link" or (entry.get("link_before") is None) == (entry["status"] is None))
            for entry in data["entries"]
        )
        and all(isinstance(path, str) for path in data["made"])
        and all(has(folder, path=str, atime=int, mtime=int) for folder in data["folders"])
    )


def begin(tree, plan: Plan, wanted: Sequence[Edit], labels: Labels) -> int:
    """Writes the journal and all originals durably; gives its number."""
    number = max(_names(tree), default=0) + 1
    home = f"{FOLDER}/{number}"
    made = missing_folders(tree, [home] + [os.path.dirname(edit.path) for edit in wanted])
    touched = _touched_folders(tree, made, wanted)
    folders = [dict(zip(("path", "atime", "mtime"), (path,) + writer.folder_times(tree, path))) for path in touched]
    # The parts that the journal needs are made at once, those that edits need by apply.
    for path in made:
        if home == path or home.startswith(path + "/"):
            writer.make_folder(tree, path, 0o755 if path in ("/var", "/var/lib") else 0o700, labels.of(path, stat.S_IFDIR).value)
    data = {
        "format": FORMAT,
        "state": "begun",
        "target": plan.target,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "changes": [summary(change) for change in plan.changes],
        "entries": [],
        "made": made,
        "folders": folders,
    }
    # First without entries: a run killed while it keeps the originals has changed nothing, and undo finds what it made.
    label = labels.of(f"{home}/journal.json", stat.S_IFREG).value
    _write(tree, number, data, label)
    data["entries"] = [_entry(tree, f"{home}/original-{count}", label, edit) for count, edit in enumerate(wanted)]
    _write(tree, number, data)
    return number


def finish(tree, number: int) -> None:
    """Marks the journal as applied in full."""
    data = read(tree, number)
    data["state"] = "applied"
    _write(tree, number, data)


def undo(tree, number: int) -> Tuple[str, ...]:
    """Brings back what the journal holds and removes it; gives the paths that were brought back.

    Raises FixupError, before any edit, when a file of a fully applied journal was changed by others since.
    """
    data = read(tree, number)
    home = f"{FOLDER}/{number}"
    restored = []
    if data["state"] != "undone":
        if data["state"] == "applied":
            _refuse_foreign(tree, data)
        for entry in reversed(data["entries"]):
            _restore(tree, home, entry)
            restored.append(entry["path"])
        data["state"] = "undone"
        _write(tree, number, data)
    for name in tree.listdir(home):
        if name != "journal.json":
            writer.remove_file(tree, f"{home}/{name}")
    writer.remove_file(tree, f"{home}/journal.json")
    writer.remove_folder(tree, home)
    for path in reversed(data["made"]):
        if path != home and tree.isdir(path):
            writer.remove_folder(tree, path)
    for folder in data["folders"]:
        if tree.isdir(folder["path"]):
            writer.set_folder_times(tree, folder["path"], folder["atime"], folder["mtime"])
    return tuple(restored)


def _names(tree):
    """Also folders without a journal: what a run killed while it began has left."""
    return [int(name) for name in tree.listdir(FOLDER) if name.isdigit()] if tree.isdir(FOLDER) else []


def _write(tree, number, data, label=b""):
    text = json.dumps(data, indent=1, sort_keys=True)
    writer.write_file(tree, f"{FOLDER}/{number}/journal.json", text.encode("utf-8", "surrogateescape"), 0o600, label)


def missing_folders(tree, paths):
    """The folders on the way to `paths` that are not there, parents first."""
    missing = {}
    for path in paths:
        parts = []
        while path not in ("", "/") and not tree.isdir(path):
            parts.append(path)
            path = os.path.dirname(path)
        for part in reversed(parts):
            missing[part] = None
    return sorted(missing, key=lambda path: path.count("/"))


def _touched_folders(tree, made, wanted):
    """Existing folders whose times the edits change."""
    parents = {os.path.dirname(path) for path in made} | {os.path.dirname(edit.path) for edit in wanted} | {FOLDER}
    return sorted(path for path in parents if tree.isdir(path))


def _entry(tree, original, label, edit):
    """The entry of an edit. What is there before it is kept as `original`, which gets `label`."""
    entry = {
        "path": edit.path,
        "kind": edit.kind,
        "status": None,
        "original": None,
        "size_before": 0,
        "sha256_before": "",
        "sha256_after": "",
    }
    if edit.kind == "append":
        entry.update(status=_status_data(writer.read_status(tree, edit.path)), size_before=edit.offset)
        before = hashlib.sha256()
        size = 0
        with tree.open(edit.path) as stream:
            for block in iter(lambda: stream.read(_BLOCK), b""):
                before.update(block)
                size += len(block)
        if size != edit.offset:
            raise FixupError(f"{edit.path} changed between plan and apply. Plan again.")
        entry["sha256_before"] = before.hexdigest()
        before.update(edit.after)
        entry["sha256_after"] = before.hexdigest()
        return entry
    if edit.kind == "link":
        target, status = _link(tree, edit.path)
        if _target_bytes(target) != edit.before:
            raise FixupError(f"{edit.path} changed between plan and apply. Plan again.")
        entry.update(
            status=None if status is None else _status_data(status), link_before=target,
            sha256_before=_target_digest(target), sha256_after="" if edit.after is None else hashlib.sha256(edit.after).hexdigest(),
        )
        return entry
    present = tree.read_bytes(edit.path, limit=None) if tree.isfile(edit.path) else None
    if present != edit.before:
        raise FixupError(f"{edit.path} changed between plan and apply. Plan again.")
    if edit.before is not None:
        entry.update(
            status=_status_data(writer.read_status(tree, edit.path)), original=os.path.basename(original), size_before=len(edit.before),
            sha256_before=hashlib.sha256(edit.before).hexdigest(),
        )
        writer.write_file(tree, original, edit.before, 0o600, label)
    if edit.kind == "write":
        entry["sha256_after"] = hashlib.sha256(edit.after).hexdigest()
    return entry


def _link(tree, path):
    """(target, status) of a link; nothing in a folder that is not there."""
    return writer.read_link(tree, path) if tree.isdir(os.path.dirname(path)) else (None, None)


def _target_digest(target):
    return "" if target is None else hashlib.sha256(_target_bytes(target)).hexdigest()


def _present_digest(tree, entry):
    if entry["kind"] != "link":
        return _digest(tree, entry["path"])
    try:
        return _target_digest(_link(tree, entry["path"])[0])
    except FixupError:
        return "no link"


def _status_data(status):
    data = status._asdict()
    data["xattrs"] = {name: base64.b64encode(value).decode("ascii") for name, value in status.xattrs.items()}
    return dict(data)


def _status_value(data):
    return writer.Status(**dict(data, xattrs={name: base64.b64decode(value) for name, value in data["xattrs"].items()}))


def _digest(tree, path, size=None):
    """Of a file, or of its first `size` bytes; "" when there is none."""
    if not tree.isfile(path):
        return ""
    digest = hashlib.sha256()
    left = size
    with tree.open(path) as stream:
        while left is None or left:
            block = stream.read(_BLOCK if left is None else min(_BLOCK, left))
            if not block:
                break
            digest.update(block)
            left = left if left is None else left - len(block)
    return digest.hexdigest()


def _refuse_foreign(tree, data):
    changed = [
        entry["path"] for entry in data["entries"] if _present_digest(tree, entry) not in (entry["sha256_after"], entry["sha256_before"])
    ]
    if changed:
        raise FixupError(
            "Nothing is undone, because these files were changed after the fix-ups (has the recovered machine been running?): "
            + ", ".join(changed)
            + ". Restore the image again to get the original."
        )


def _restore(tree, home, entry):
    path = entry["path"]
    if not tree.isdir(os.path.dirname(path)):
        return                                                   # its new folder was never made
    writer.remove_temporary(tree, path)
    if entry["kind"] == "link":
        _restore_link(tree, entry)
        return
    if (
        entry["status"] is not None
        and _digest(tree, path) == entry["sha256_before"]
        and writer.read_status(tree, path) == _status_value(entry["status"])
    ):
        return                                                   # the run did not come so far, or cannot change it
    if entry["kind"] == "append":
        if _digest(tree, path, entry["size_before"]) != entry["sha256_before"]:
            raise FixupError(
                f"{path} was changed in front of what the fix-ups added, so it cannot be brought back. Restore the image again."
            )
        writer.truncate_file(tree, path, entry["size_before"], _status_value(entry["status"]))
    elif entry["original"] is None:
        writer.remove_file(tree, path)
    else:
        original = f"{home}/{entry['original']}"
        content = tree.read_bytes(original, limit=None)
        if hashlib.sha256(content).hexdigest() != entry["sha256_before"]:
            raise FixupError(f"{original}, the kept original of {path}, is damaged. Restore the image again.")
        writer.restore_file(tree, path, content, _status_value(entry["status"]))


def _restore_link(tree, entry):
    path, before = entry["path"], entry.get("link_before")
    target, status = _link(tree, path)
    if before is None:
        if target is not None:
            writer.remove_file(tree, path)
        return
    wanted = _status_value(entry["status"])
    # Reading a link may change its time of access, so that alone is no reason to make it anew.
    if target != before or status._replace(atime=0) != wanted._replace(atime=0):
        writer.write_link(tree, path, before, status=wanted)
