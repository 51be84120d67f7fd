# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The object store interface: named, immutable byte strings in one place (a directory, a bucket, a container).

Names are relative paths of safe segments, such as `chunks/3f/3fa9...`. All methods may be called by several threads at once.
Every method raises `RepositoryError` when the store fails (unreachable, full, no permission).
"""

import re
from typing import Iterable, Iterator, NamedTuple, Optional

from ..errors import DamagedObjectError, RepositoryError

ROOT = "repository.json"        # the object that makes a place a repository; the last one that is stored when it is made
SETTINGS = "settings/"          # below it, how machines are recovered; see runbook/settings.py
RUNS = "runs/"                  # below it, what runs have left; see runbook/kept_runs.py
MAX_OBJECT_SIZE = 128 << 20     # bytes; no object of format 1 is larger, and no reader takes a larger one into memory

_SEGMENT = re.compile(r"[A-Za-z0-9_~%-][A-Za-z0-9._~%-]{0,254}\Z")
_MAX_NAME = 1000                # S3 takes 1024 bytes; room for a prefix


class Peek(NamedTuple):
    """The first bytes of an object, and its size."""
    head: bytes
    size: int


class Entry(NamedTuple):
    """An object in a listing: bytes, and when it was stored, in seconds since 1970 by the clock of the store."""
    name: str
    size: int
    modified: float


class ObjectStore:
    """What every store offers. `label` names the place in messages."""

    label = ""
    parallel = 0         # requests in flight that make good use of the store; 0: no more than keep the processors busy
    settle = 0           # seconds until what was stored or removed shows in every listing, wherever it is asked for
    notes = ()           # what the operator should know about the place; may grow while the store is used

    def examine(self) -> bool:
        """Whether there is such a place. Refuses one that holds something other than a repository or the beginning of one."""
        raise NotImplementedError

    def create(self) -> None:
        """Make the place ready for a new repository, after `examine`."""
        raise NotImplementedError

    def put(self, name: str, data) -> None:
        """Store `data` (any bytes-like object; not kept after the return) under `name`.

        Meant for objects named by their content, so that an object that is there already may be replaced by its equal. The object
        counts as stored for this store object at once, for others when it is durable, at the latest after `flush`.
        """
        raise NotImplementedError

    def put_new(self, name: str, data) -> bool:
        """Store `data` only if nothing has that name: True, and durable on return. False: the name is taken.

        `data` must hold something that no other writer would store, such as a random id: by it a store over the network tells its own
        object, whose confirmation was lost, from another's.
        """
        raise NotImplementedError

    def get(self, name: str, offset: int = 0, length: Optional[int] = None) -> bytes:
        """The object, or `length` bytes of it from `offset`. Raises DamagedObjectError when it is missing or shorter."""
        raise NotImplementedError

    def peek(self, name: str, length: int) -> Optional[Peek]:
        """The first `length` bytes (or fewer) and the size in one request; None: there is no such object."""
        raise NotImplementedError

    def size(self, name: str) -> Optional[int]:
        """Bytes of the object; None: there is no such object."""
        raise NotImplementedError

    def list(self, prefix: str) -> Iterator[str]:
        """Names below `prefix` ("images/", "chunks/", or "" for all), sorted."""
        raise NotImplementedError

    def scan(self, prefix: str) -> Iterator[Entry]:
        """As `list`, with sizes and times."""
        raise NotImplementedError

    def delete(self, name: str) -> None:
        """Remove the object for good; no error when it is not there."""
        raise NotImplementedError

    def delete_all(self, names: Iterable[str]) -> None:
        """Remove many objects, in any order; after a crash of the store some of them may be there again."""
        for name in names:
            self.delete(name)

    def flush(self) -> None:
        """On return all that was put before, and all that `size` reported as present, is durable."""
        raise NotImplementedError

    def close(self) -> None:
        """Give back what the store holds open. What was put and not flushed may be lost."""
        raise NotImplementedError

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()


def check_name(name: str) -> str:
    """The name itself if it is safe to use as a path below the store; no name of ours is ever refused."""
    segments = name.split("/")
    if len(name) > _MAX_NAME or segments[0] == "tmp" or not all(_SEGMENT.match(segment) for segment in segments):
        raise RepositoryError(f"The object name {name[:200]!r} is not one that a repository can hold.")
    return name


def missing(label: str, name: str) -> DamagedObjectError:
    return DamagedObjectError(f"The object {name} is missing in the repository at {label}.")
