# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records: what an operator keeps in a repository beside the images, for later or for others who hold its key.

A record says something about a subject, a machine or a run. It is a JSON text, sealed under a key that follows from the private key of
an epoch: who holds a capture credential can neither read nor make one. Each is an object of its own, `<folder>/<subject>/<time>-<8 HEX>`,
and the newest of a subject counts. docs/format.md section 17 gives the format.
"""

import calendar
import itertools
import json
import time

from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ..errors import DamagedObjectError, KeyAccessError, RepositoryError
from ..image import manifest
from ..image.codec import Zlib
from ..image.envelope import NO_KEY_ID, EnvelopeError, Opener, Sealer
from ..repository.crypto import hkdf, public_key
from ..repository.repository import Repository
from ..repository.sealing import recipient_id

_VERSION = 1


class Kind(NamedTuple):
    """A kind of record. `magic` begins its objects, `label` keeps its keys apart from others, `limit` is in bytes of the JSON text."""
    folder: str                  # of the objects, with its slash
    magic: bytes
    label: bytes
    limit: int
    what: str                    # how messages call it, in the plural
    newest_epoch_only: bool      # whether one that was sealed in an older epoch does not count


class Record(NamedTuple):
    subject: str
    kept: str                    # when, ISO 8601, UTC
    content: Dict[str, Any]


def keep(repository: Repository, kind: Kind, subject: str, content: Dict[str, Any], now: float) -> None:
    """Store a record; it is the newest of its subject from then on. Raises RepositoryError, KeyAccessError."""
    key_id, key = _keys(repository, kind)[0]
    if repository.problem:
        raise KeyAccessError(f"Nothing new can be sealed. {repository.problem}")
    # Another host's clock may be ahead of ours; what is kept last must be the newest all the same.
    others = [calendar.timegm(time.strptime(name.rpartition("/")[2][:16], "%Y%m%dT%H%M%SZ")) for name in _names(repository, kind, subject)]
    now = max([now] + [other + 1 for other in others])
    name = manifest.new_image_id(subject, now)
    fields = {"format_version": _VERSION, "subject": subject, "kept": manifest.iso_time(now), "content": content}
    plain = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode("ascii")
    if len(plain) > kind.limit:
        raise RepositoryError(f"The {kind.what} of {subject} are {len(plain)} bytes, more than the {kind.limit} that are kept.")
    sealed = Sealer(kind.magic, repository, key, key_id, Zlib()).seal(name.encode("utf-8"), plain)
    if not repository.store.put_new(_object_name(kind, name), bytes(sealed)):
        raise RepositoryError(f"There are {kind.what} {name} already. Keep them again.")


def forget(repository: Repository, kind: Kind, subject: str) -> None:
    """Remove all records of a subject."""
    repository.store.delete_all(list(repository.store.list(_folder(kind, subject))))


def read_newest(repository: Repository, kind: Kind, subject: Optional[str] = None) -> Tuple[Dict[str, Record], List[str]]:
    """({subject: its newest record}, messages on newer ones that cannot be used) of all subjects or of one.

    Raises KeyAccessError for who holds only the capture credential.
    """
    keys = _keys(repository, kind)
    found, messages = {}, []
    for each, names in itertools.groupby(_names(repository, kind, subject), lambda name: name.rpartition("/")[0]):
        for name in reversed(list(names)):
            try:
                found[each] = _open(repository, kind, name, keys)
                break
            except DamagedObjectError as error:
                messages.append(str(error))
    return found, messages


def subjects(repository: Repository, kind: Kind) -> List[str]:
    """Of which there are records. Reads names only."""
    return [subject for subject, _names_of in itertools.groupby(_names(repository, kind, None), lambda name: name.rpartition("/")[0])]


def _keys(repository, kind) -> Sequence[Tuple[bytes, Optional[bytes]]]:
    """(key id, key) of each epoch whose records count, the newest first."""
    if repository.secrets is None:
        return [(NO_KEY_ID, None)]
    if not repository.can_read:
        raise KeyAccessError(f"The capture credential opens no {kind.what}; a passphrase, key file or other full key does.")
    counting = repository.secrets.private_keys[:1] if kind.newest_epoch_only else repository.secrets.private_keys
    return [(recipient_id(public_key(private)).ljust(len(NO_KEY_ID), b"\0"), hkdf(private, repository.id, kind.label)) for private in counting]


def _open(repository, kind, name, keys):
    def key_of(key_id):
        for known, key in keys:
            if known == key_id:
                return key
        raise EnvelopeError("they are not sealed under the newest epoch of the repository, so they may be another's; keep them again"
                            if kind.newest_epoch_only else "they are sealed under an unknown key")

    subject = name.rpartition("/")[0]
    try:
        plain = Opener(kind.magic, repository, kind.limit).open(name.encode("utf-8"), repository.store.get(_object_name(kind, name)), key_of)
        fields = json.loads(bytes(plain).decode("ascii"))
        if fields["format_version"] != _VERSION:
            raise EnvelopeError("they are of a format that this version does not know; use a newer one")
        if fields["subject"] != subject:
            raise EnvelopeError("they are those of something else")
        return Record(subject, str(fields["kept"]), dict(fields["content"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedObjectError(f"The {kind.what} {_object_name(kind, name)} cannot be used: {error}.") from error


def _object_name(kind, name):
    return kind.folder + manifest.object_name(name)[len(manifest.PREFIX):]


def _folder(kind, subject):
    return kind.folder + manifest.folder_of(subject)[len(manifest.PREFIX):]


def _names(repository, kind, subject) -> Iterator[str]:
    """<subject>/<time>-<8 HEX>, the oldest first within a subject."""
    for name in repository.store.list(kind.folder if subject is None else _folder(kind, subject)):
        found = manifest.image_id_of(manifest.PREFIX + name[len(kind.folder):])
        if found:
            yield found
