# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stores over the network: the rules of an object store on top of the few requests that S3 and Swift have in common.

Atomic creation. Some S3 servers ignore `If-None-Match: *` and overwrite, so it is tried before it is trusted: on the object `tmp/probe`,
which always has the same content. Where it does not hold, and on Swift, where it is looked at before the transfer and not after it,
a name is looked up, written and read back. That leaves a gap of moments between two writers of one name; `notes` says so.
"""

import threading
from typing import Callable, Iterator, List, NamedTuple, Optional

from ..errors import DamagedObjectError, RepositoryError
from .retry import Retrier
from .store import MAX_OBJECT_SIZE, ROOT, Entry, ObjectStore, Peek, check_name, missing

_LEFTOVERS = {"keys", "tmp"}     # what an interrupted repository_init may have left
_PROBE = "tmp/probe"
_PROBE_CONTENT = b"agnostic.recovery tests here whether the server keeps an object that is there already\n"


class Body(NamedTuple):
    """What was read of an object, and the size of the whole of it."""
    data: bytes
    size: int


class Page(NamedTuple):
    """Some objects, sorted by their keys, and what asks for the next ones; None at the end."""
    entries: List[Entry]
    mark: Optional[str]


class NotOffered(Exception):
    """The server has no atomic conditional put."""


class RemoteClient:
    """Single requests to one bucket or container, by any number of threads.

    Every method raises TransientError for what may pass, and RepositoryError, made for the operator, for what does not.
    """

    label = ""
    settle = 0           # see ObjectStore

    def make(self) -> None:
        """Make the bucket or container, if that was asked for."""
        raise NotImplementedError

    def put(self, key: str, data) -> None:
        raise NotImplementedError

    def put_new(self, key: str, data) -> bool:
        """Store where there is nothing; False: there is something. Raises NotOffered."""
        raise NotOffered()

    def get(self, key: str, offset: int, length: Optional[int]) -> Optional[Body]:
        """The object from `offset`, at most `length` bytes and never cut short otherwise. None: there is none."""
        raise NotImplementedError

    def size(self, key: str) -> Optional[int]:
        """None: there is no such object."""
        raise NotImplementedError

    def page(self, prefix: str, mark: Optional[str]) -> Optional[Page]:
        """Keys that begin with `prefix`, from where the `mark` of the page before tells. None: there is no such bucket or container."""
        raise NotImplementedError

    def delete(self, key: str) -> None:
        """No error where there is none."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class RemoteStore(ObjectStore):
    """The objects below `prefix` ("" or "a/b") of the bucket or container of `client`."""

    parallel = 32                # hides some 50 ms of latency from two processors

    def __init__(self, client: RemoteClient, prefix: str, retrier: Retrier):
        self._client = client
        self._prefix = prefix + "/" if prefix else ""
        self._retrier = retrier
        self.label = client.label
        self.settle = client.settle
        self.notes = []                          # type: List[str]
        self._lock = threading.Lock()
        self._conditional = None                 # type: Optional[bool]   # whether a conditional put holds; None: not tried yet

    def examine(self) -> bool:
        page = self._page(self._prefix, None)
        if page is None:
            return False
        foreign = sorted({entry.name[len(self._prefix):].split("/")[0] for entry in page.entries} - _LEFTOVERS - {""})
        if foreign and self.size(ROOT) is None:
            raise RepositoryError(f"{self.label} holds other objects ({', '.join(foreign[:3])}); give an empty place, or another "
                                  "prefix, for a repository.")
        return True

    def create(self) -> None:
        if not self.examine():
            self._ask(self._client.make, "making the place")
        self._has_conditional_put()

    def put(self, name: str, data) -> None:
        key, data = self._key(name), _bytes(data)
        self._ask(lambda: self._client.put(key, data), f"storing {name}")

    def put_new(self, name: str, data) -> bool:
        key, data = self._key(name), _bytes(data)
        if self._has_conditional_put():
            if self._ask(lambda: self._client.put_new(key, data), f"storing {name}"):
                return True
        elif self.size(name) is None:
            self._ask(lambda: self._client.put(key, data), f"storing {name}")
        # There is something: ours, when a try whose answer was lost has stored it, or a proxy sent the request twice.
        return self.get(name) == data

    def get(self, name: str, offset: int = 0, length: Optional[int] = None) -> bytes:
        key = self._key(name)
        body = self._ask(lambda: self._client.get(key, offset, length), f"reading {name}")
        if body is None:
            raise missing(self.label, name)
        if length is not None and len(body.data) != length:
            raise DamagedObjectError(f"The object {name} in {self.label} is cut short.")
        return body.data

    def peek(self, name: str, length: int) -> Optional[Peek]:
        key = self._key(name)
        body = self._ask(lambda: self._client.get(key, 0, length), f"reading {name}")
        return None if body is None else Peek(body.data, body.size)

    def size(self, name: str) -> Optional[int]:
        key = self._key(name)
        return self._ask(lambda: self._client.size(key), f"looking for {name}")

    def list(self, prefix: str) -> Iterator[str]:
        return (entry.name for entry in self.scan(prefix))

    def scan(self, prefix: str) -> Iterator[Entry]:
        if prefix and not prefix.endswith("/"):
            raise ValueError("a prefix ends with a slash")
        last, mark = "", None
        while True:
            page = self._page(self._prefix + prefix, mark)
            if page is None:
                raise RepositoryError(f"There is no bucket or container any more at {self.label}.")
            for key, size, modified in page.entries:
                if key <= last:
                    raise RepositoryError(f"{self.label} lists objects out of order ({key} after {last}), so nothing tells whether a "
                                          "list is complete. Use another server.")
                last = key
                name = key[len(self._prefix):]
                if not name.startswith("tmp/") and name[-1:] not in ("", "/"):       # consoles make "folders": empty objects with a slash
                    yield Entry(name, size, modified)
            mark = page.mark
            if mark is None:
                return

    def delete(self, name: str) -> None:
        key = self._key(name)
        self._ask(lambda: self._client.delete(key), f"removing {name}")

    def flush(self) -> None:
        """Nothing is held back: a server answers when an object is durable."""

    def close(self) -> None:
        self._client.close()

    def _key(self, name: str) -> str:
        return self._prefix + check_name(name)

    def _ask(self, request: Callable, what: str):
        return self._retrier.call(request, what)

    def _page(self, prefix: str, mark: Optional[str]) -> Optional[Page]:
        return self._ask(lambda: self._client.page(prefix, mark), "listing")

    def _has_conditional_put(self) -> bool:
        with self._lock:
            if self._conditional is None:
                self._conditional = self._try_conditional_put()
                if not self._conditional:
                    self.notes.append(f"The server of {self.label} has no atomic conditional put (If-None-Match), so a name is looked up "
                                      "before it is written: never let two hosts make, prune or re-key this repository at the same moment.")
            return self._conditional

    def _try_conditional_put(self) -> bool:
        key = self._prefix + _PROBE
        try:
            # The first may store the object, the second must not.
            return not all(self._ask(lambda: self._client.put_new(key, _PROBE_CONTENT), "testing the server") for _unused in range(2))
        except NotOffered:
            return False


def check_announced(size: int, key: str, label: str) -> None:
    """Refuse to take an object into memory that can be none of ours."""
    if size > MAX_OBJECT_SIZE:
        raise DamagedObjectError(f"The object {key} in {label} is larger ({size} bytes) than any object can be.")


def _bytes(data):
    return bytes(data) if isinstance(data, memoryview) else data
