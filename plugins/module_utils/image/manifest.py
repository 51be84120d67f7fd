# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Manifests: the root of an image, and how images are listed and chosen.

An image exists if and only if its manifest does. The manifest is a sealed JSON text named `images/<machine>/<time>-<random>`;
docs/format.md describes it. Who holds the capture credential can read it.
"""

import base64
import binascii
import hashlib
import itertools
import json
import os
import re
import time
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple
from urllib.parse import quote, unquote

from ..errors import DamagedObjectError, RepositoryError
from ..repository.repository import Repository
from .codec import Zlib
from .envelope import MANIFEST, NO_KEY_ID, Opener, Sealer, EnvelopeError
from .index import MAX_ENTRIES_PER_PAGE

FORMAT_VERSION = 1
PREFIX = "images/"
MAX_MANIFEST_SIZE = 64 << 20
CONSISTENCIES = ("offline", "crash", "filesystem", "application")
_MAX_DISK_SIZE = 1 << 62
_MAX_DISK_NAME = 65535           # bytes of UTF-8
_MAX_WORD = 64                   # characters of the name of a target profile, or of a verdict
_FIELD_TYPES = {
    "id": str, "machine": str, "created": str, "consistency": str, "parent": str, "disks": list, "size": int, "used": int,
    "stored_new": int, "stored_new_objects": int, "seconds": (int, float), "warnings": list, "chunk_size": int, "entries_per_page": int,
    "machine_model": dict, "evidence": dict, "merkle_root": str}
_DISK_FIELD_TYPES = {"name": str, "size": int, "sector_size": int, "used": int, "data": int, "pages": str, "map": list}
_NAME = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}\Z")
_TIME_FORMATS = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M")


class DiskInfo(NamedTuple):
    """A disk of an image. Bytes: `size` of the disk, `used` by what the source said, `data` in chunks that are stored."""
    name: str
    size: int
    sector_size: int
    used: int
    data: int


class ImageInfo(NamedTuple):
    """An image as listed. `size`, `used` are sums over the disks; `stored_new` is what this capture added to the repository, in bytes."""
    id: str
    machine: str
    created: str                         # ISO 8601, UTC
    consistency: str                     # offline crash filesystem application
    parent: str                          # image id, "": none
    disks: Tuple[DiskInfo, ...]
    size: int
    used: int
    stored_new: int
    stored_new_objects: int
    seconds: float
    warnings: Tuple[str, ...] = ()
    recoverable: Dict[str, str] = {}     # target profile -> as_is with_changes no not_judged; empty: nothing was judged


class ManifestDisk(NamedTuple):
    info: DiskInfo
    pages: bytes                         # the 32-byte ids of the index pages, in disk order
    map: tuple                           # how each part of the disk was found used, as the source told


class Manifest(NamedTuple):
    info: ImageInfo
    chunk_size: int
    entries_per_page: int
    disks: Tuple[ManifestDisk, ...]
    machine: dict                        # the machine model as plain data
    evidence: dict                       # what shows the consistency
    root: bytes                          # Merkle root over all pages
    recoverability: dict = {}            # where the machine can be recovered, as plain data; empty: the image does not say


def chunk_count(size: int, chunk_size: int) -> int:
    return -(-size // chunk_size)


def merkle_root(disks: List[Tuple[str, int, bytes]]) -> bytes:
    """One 32-byte hash over (name, size, pages) of every disk, in order: docs/format.md, "Merkle root"."""
    leaves = []
    for name, size, pages in disks:
        text = name.encode("utf-8")
        leaves.append(hashlib.sha256(b"\2" + len(text).to_bytes(2, "big") + text + size.to_bytes(8, "big") + _tree(pages)).digest())
    return _tree(b"".join(leaves))


def _tree(items: bytes) -> bytes:
    """Merkle tree hash in the manner of RFC 6962 over 32-byte items; the odd node of a level moves up as it is."""
    level = [hashlib.sha256(b"\0" + items[at:at + 32]).digest() for at in range(0, len(items), 32)] or [hashlib.sha256(b"\0").digest()]
    while len(level) > 1:
        pairs = [hashlib.sha256(b"\1" + level[at] + level[at + 1]).digest() for at in range(0, len(level) - 1, 2)]
        level = pairs + level[len(pairs) * 2:]
    return level[0]


def new_image_id(machine: str, now: float) -> str:
    """A fresh id. Its first three hex digits are the fraction of the second, so that names sort by time."""
    fraction = int((now % 1) * 4096)
    return f"{machine}/{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}-{fraction:03x}{os.urandom(3).hex()[:5]}"


def iso_time(now: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))


def object_name(image_id: str) -> str:
    """The manifest's object name. Raises RepositoryError for what is no image id."""
    machine, slash, name = image_id.rpartition("/")
    if not slash or not _NAME.match(name):
        raise RepositoryError(f"{image_id!r} is no image id; one looks like shop/20261122T010203Z-9f3a61c2.")
    return folder_of(machine) + name


def folder_of(machine: str) -> str:
    # Lone surrogates stand for what is no UTF-8, in the name of a file that is not ours.
    if not machine or any(ord(char) < 32 or 0xD800 <= ord(char) < 0xE000 for char in machine) or len(machine.encode("utf-8")) > 80:
        raise RepositoryError(f"{machine!r} cannot be a machine's name: 1 to 80 bytes without control characters.")
    quoted = quote(machine, safe="~")       # before Python 3.7 the tilde was not among what is always safe
    return PREFIX + (f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted) + "/"


def seal_manifest(repository: Repository, manifest: Manifest) -> bytes:
    """The manifest as it is stored. Raises RepositoryError when it is too large."""
    plain = _encode(manifest)
    if len(plain) > MAX_MANIFEST_SIZE:
        raise RepositoryError(f"The manifest would be larger ({len(plain)} bytes) than a reader accepts. "
                              "Use a repository with larger chunks.")
    sealer = Sealer(MANIFEST, repository, repository.manifest_key, NO_KEY_ID, Zlib())
    return bytes(sealer.seal(manifest.info.id.encode("utf-8"), plain))


def read_manifest(repository: Repository, image_id: str) -> Manifest:
    """Raises RepositoryError: no such image; DamagedObjectError: it was altered or cut short."""
    name = object_name(image_id)
    if repository.store.size(name) is None:
        raise RepositoryError(f"There is no image {image_id} in the repository at {repository.store.label}. "
                              + _what_there_is(repository, image_id.rpartition("/")[0]))
    return open_manifest(repository, image_id, repository.store.get(name))


def open_manifest(repository: Repository, image_id: str, sealed: bytes) -> Manifest:
    """A stored manifest, checked. Raises DamagedObjectError."""
    def key_of(key_id):
        if key_id != NO_KEY_ID:
            raise EnvelopeError("it names a key")
        return repository.manifest_key

    try:
        plain = Opener(MANIFEST, repository, MAX_MANIFEST_SIZE).open(image_id.encode("utf-8"), sealed, key_of)
        manifest = _decode(bytes(plain), image_id)
        if manifest.chunk_size != repository.chunk_size:
            raise ValueError("its chunk size is not that of the repository")
        return manifest
    except ValueError as error:
        raise DamagedObjectError(f"The manifest of image {image_id} ({object_name(image_id)}) is damaged: {error}. "
                                 "Other images are not affected.") from error


def image_ids(repository: Repository, machine: Optional[str] = None) -> Iterator[str]:
    """Ids of all images, or of one machine's, the oldest first within a machine. Reads names only."""
    for name in repository.store.list(PREFIX if machine is None else folder_of(machine)):
        image_id = image_id_of(name)
        if image_id:
            yield image_id


def image_id_of(name: str) -> str:
    """The id of the image whose manifest has this object name; "" for what is no such name."""
    image_id = unquote(name[len(PREFIX):])
    try:
        return image_id if object_name(image_id) == name else ""
    except RepositoryError:
        return ""


def list_images(repository: Repository, machine: Optional[str] = None, damaged: Optional[list] = None) -> List[ImageInfo]:
    """All images, or one machine's, the oldest first within a machine.

    A manifest that cannot be read raises DamagedObjectError; with a list `damaged` the message is added to it instead.
    """
    found = []
    for image_id in image_ids(repository, machine):
        try:
            manifest = _read_listed(repository, image_id)
        except DamagedObjectError as error:
            if damaged is None:
                raise
            damaged.append(str(error))
            continue
        if manifest is not None:
            found.append(manifest.info)
    return found


def _read_listed(repository: Repository, image_id: str) -> Optional[Manifest]:
    """As `read_manifest`; None where the image was pruned since its name was listed."""
    try:
        return read_manifest(repository, image_id)
    except DamagedObjectError:
        raise
    except RepositoryError:
        if repository.store.size(object_name(image_id)) is not None:
            raise
        return None


def find_image(repository: Repository, machine: str, wanted: str = "latest") -> ImageInfo:
    """One image: "latest", an image id (also without the machine), or a time in UTC: the newest image not after it.

    Raises RepositoryError that says what there is when there is no such image.
    """
    if "/" in wanted:
        return read_manifest(repository, wanted).info
    if _NAME.match(wanted):
        return read_manifest(repository, f"{machine}/{wanted}").info
    ids = _not_after(image_ids(repository, machine), wanted)
    if not ids:
        what = f"Machine {machine} has no image" + ("" if wanted == "latest" else f" from {wanted} or before")
        raise RepositoryError(f"{what} in the repository at {repository.store.label}. {_what_there_is(repository, machine)}")
    return read_manifest(repository, ids[-1]).info


def newest_images(repository: Repository, wanted: str = "latest") -> Iterator[Tuple[Optional[Manifest], List[str]]]:
    """For each machine the manifest of its newest image, "latest" or not after a time in UTC, and the messages on newer ones that are
    damaged; None where all are. Reads names, and one manifest a machine.
    """
    for _machine, ids in itertools.groupby(_not_after(image_ids(repository), wanted), lambda image_id: image_id.rpartition("/")[0]):
        damaged = []
        manifest = None
        for image_id in reversed(list(ids)):
            try:
                manifest = _read_listed(repository, image_id)
            except DamagedObjectError as error:
                damaged.append(str(error))
            if manifest is not None:
                break
        yield manifest, damaged


def _not_after(ids: Iterable[str], wanted: str) -> List[str]:
    """Those that are not younger than a time in UTC, all for "latest". Raises RepositoryError for what is neither."""
    limit = "" if wanted == "latest" else _compact_time(wanted)
    return [image_id for image_id in ids if image_id.rpartition("/")[2][:len(limit)] <= limit]


def _compact_time(text: str) -> str:
    for pattern in _TIME_FORMATS:
        try:
            return time.strftime("%Y%m%dT%H%M%SZ", time.strptime(text, pattern))
        except ValueError:
            continue
    raise RepositoryError(f"{text!r} names no image: give \"latest\", an image id, or a time in UTC such as 2026-11-22T01:02:03Z.")


def _what_there_is(repository: Repository, machine: str) -> str:
    ids = list(image_ids(repository, machine)) if machine else []
    if ids:
        return f"Its newest of {len(ids)} images: {', '.join(ids[-5:])}."
    machines = sorted({image_id.rpartition("/")[0] for image_id in image_ids(repository)})
    if machines:
        more = " ..." if len(machines) > 20 else "."
        return f"Machines that have images: {', '.join(machines[:20])}{more}"
    return "It holds no images yet."


def _encode(manifest: Manifest) -> bytes:
    info = manifest.info._asdict()
    del info["recoverable"]              # a summary of what follows
    if manifest.recoverability:
        info["recoverability"] = manifest.recoverability
    info["disks"] = [dict(disk.info._asdict(), pages=base64.b64encode(disk.pages).decode("ascii"), map=disk.map) for disk in manifest.disks]
    info.update(format_version=FORMAT_VERSION, chunk_size=manifest.chunk_size, entries_per_page=manifest.entries_per_page,
                machine_model=manifest.machine, evidence=manifest.evidence, merkle_root=manifest.root.hex())
    return json.dumps(info, sort_keys=True, separators=(",", ":")).encode("ascii")


def _decode(data: bytes, image_id: str) -> Manifest:
    """Raises ValueError in words that follow "is damaged: "."""
    try:
        fields = json.loads(data.decode("ascii"), parse_int=_parse_int)
        version = fields["format_version"]
        if version != FORMAT_VERSION:
            raise ValueError(f"it is of format version {version}, which this version does not know; use a newer one")
        _check_types(fields, _FIELD_TYPES)
        disks = tuple(_decode_disk(disk, fields["chunk_size"], fields["entries_per_page"]) for disk in fields["disks"])
        recoverability = _decode_recoverability(fields.get("recoverability"))
        values = {name: fields[name] for name in ImageInfo._fields if name not in ("disks", "warnings", "recoverable")}
        info = ImageInfo(disks=tuple(disk.info for disk in disks), warnings=tuple(fields["warnings"]),
                         recoverable=verdicts(recoverability), **values)
        manifest = Manifest(info, fields["chunk_size"], fields["entries_per_page"], disks, fields["machine_model"], fields["evidence"],
                            bytes.fromhex(fields["merkle_root"]), recoverability)
    except (KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise ValueError(f"a field is missing or of the wrong type ({error!r})") from error
    if len({disk.name for disk in info.disks}) != len(info.disks):
        raise ValueError("two of its disks have the same name")
    if info.id != image_id or info.machine != image_id.rpartition("/")[0]:
        raise ValueError(f"it is the manifest of image {info.id}")
    if merkle_root([(disk.info.name, disk.info.size, disk.pages) for disk in disks]) != manifest.root:
        raise ValueError("its Merkle root does not match its pages")
    return manifest


def verdicts(recoverability: dict) -> Dict[str, str]:
    """target profile -> verdict. Unknown profiles and verdicts come as they are."""
    found = {}
    for entry in recoverability.get("targets", ()):
        target, verdict = (entry.get(name) for name in ("target", "verdict")) if isinstance(entry, dict) else (None, None)
        if isinstance(target, str) and isinstance(verdict, str) and max(len(target), len(verdict)) <= _MAX_WORD:
            found[target] = verdict
    return found


def _decode_recoverability(value) -> dict:
    """It is for information, so one in another form than this version knows must not keep anybody from restoring."""
    return value if isinstance(value, dict) and isinstance(value.get("targets", []), list) else {}


def _parse_int(digits: str) -> int:
    """An integer of at most 64 bits or so: to parse a number of millions of digits would take hours."""
    if len(digits) > 20:
        raise ValueError("a number in it is too large")
    return int(digits)


def _check_types(fields: dict, types: dict) -> None:
    for name, kind in types.items():
        if not isinstance(fields[name], kind) or isinstance(fields[name], bool):
            raise TypeError(name)


def _decode_disk(fields: dict, chunk_size: int, entries_per_page: int) -> ManifestDisk:
    _check_types(fields, _DISK_FIELD_TYPES)
    info = DiskInfo(**{name: fields[name] for name in DiskInfo._fields})
    if len(info.name.encode("utf-8")) > _MAX_DISK_NAME:
        raise ValueError("the name of a disk is too long")
    if min(info[1:]) < 0 or not 0 < info.size <= _MAX_DISK_SIZE:
        raise ValueError(f"the numbers of disk {info.name} are out of bounds")
    if not 1 <= entries_per_page <= MAX_ENTRIES_PER_PAGE or chunk_size < 1:
        raise ValueError("its geometry is out of bounds")
    pages = base64.b64decode(fields["pages"].encode("ascii"), validate=True)
    if len(pages) != 32 * chunk_count(chunk_count(info.size, chunk_size), entries_per_page):
        raise ValueError(f"it has a wrong number of index pages for disk {info.name}")
    return ManifestDisk(info, pages, tuple(fields["map"]))
