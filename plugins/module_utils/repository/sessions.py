# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sessions: what a writer stores so that nothing it may rely on is removed before its image exists (docs/format.md, "Sessions").

    sessions/<id>/open   stored first, never again
    sessions/<id>/beat   stored again and again while the writer lives
    sessions/<id>/end    stored once and conditionally: by the writer, which so announces its commit or gives up, or by a pruner

Whoever stores `end` first decides whether there will be an image. Nothing here depends on how long anything takes.
"""

import os
import threading
import time
from typing import Dict, NamedTuple, Optional

from ..errors import RepositoryError
from .store import ObjectStore

PREFIX = "sessions/"
BEAT_SECONDS = 600
SILENT_SECONDS = 86400       # by the store's clock; a session that was silent for so long is ended by prune

_COMMIT = b"commit "         # and the manifest's name, a line feed, the sealed manifest
_DONE = b"done "             # and the manifest's name: it is stored
_ENDED = b"ended "           # and something random


class Session:
    """One writer's session. `beat` may be called by any thread at any rate."""

    def __init__(self, store: ObjectStore):
        self._store = store
        self._folder = f"{PREFIX}{int(time.time()):x}-{os.urandom(8).hex()}/"
        self._lock = threading.Lock()
        self._next = time.monotonic() + BEAT_SECONDS
        store.put_new(self._folder + "open", os.urandom(16))

    def beat(self) -> None:
        """Show from time to time that the writer lives. Raises RepositoryError when the session was ended meanwhile."""
        with self._lock:
            if time.monotonic() < self._next:
                return
            self._next = time.monotonic() + BEAT_SECONDS
        if self._store.size(self._folder + "end") is not None:
            raise _ended(self._store)
        self._store.put(self._folder + "beat", b"alive")
        self._store.flush()

    def commit(self, name: str, sealed) -> bool:
        """Store the sealed manifest `name`; the image exists on return. False: there is one of that name.

        All that the manifest names must be durable. Raises RepositoryError when the session was ended by prune; then there is no image.
        """
        if not self._store.put_new(self._folder + "end", _COMMIT + name.encode("ascii") + b"\n" + bytes(sealed)):
            raise _ended(self._store)
        if self._store.size(self._folder + "open") is None:       # ended, and all traces of the session removed since
            raise _ended(self._store)
        stored = self._store.put_new(name, sealed)
        self._store.put(self._folder + "end", _DONE + name.encode("ascii") + b"\n")
        self._store.flush()
        return stored

    def give_up(self) -> None:
        """Say that there will be no image. Never raises: a session that nobody ended only delays a deletion."""
        # A store that is full takes no `end`; without `open` the session is over too.
        for way in (lambda: end_session(self._store, self._folder), lambda: self._store.delete(self._folder + "open")):
            try:
                way()
                return
            except RepositoryError:
                continue


class SessionState(NamedTuple):
    """A session as a pruner finds it. `state`: "open", "commit" (announced), "done" or "ended"; times are the store's, in seconds."""
    folder: str
    state: str
    opened: float
    heard: float
    image: str = ""              # object name of the manifest ("commit" and "done")
    sealed: bytes = b""          # the manifest ("commit")


def read_sessions(store: ObjectStore) -> Dict[str, SessionState]:
    """All sessions, by their folders."""
    found = {}                   # type: Dict[str, list]
    for entry in store.scan(PREFIX):
        folder, _slash, part = entry.name.rpartition("/")
        times = found.setdefault(folder + "/", [None, 0.0])
        if part == "open":
            times[0] = entry.modified
        times[1] = max(times[1], entry.modified)
    return {folder: _read(store, folder, opened, heard) for folder, (opened, heard) in found.items()}


def _read(store: ObjectStore, folder: str, opened: Optional[float], heard: float) -> SessionState:
    if opened is None:
        # A listing that lags, or what a pruner or a writer has left of a session whose `open` was removed.
        opened = heard if store.size(folder + "open") is not None else None
    if opened is None:
        return SessionState(folder, "ended", heard, heard)
    if store.size(folder + "end") is None:
        return SessionState(folder, "open", opened, heard)
    head, _line, sealed = store.get(folder + "end").partition(b"\n")
    for word, state in ((_COMMIT, "commit"), (_DONE, "done")):
        if head.startswith(word):
            return SessionState(folder, state, opened, heard, head[len(word):].decode("ascii", "replace"), sealed)
    return SessionState(folder, "ended", opened, heard)


def end_session(store: ObjectStore, folder: str) -> bool:
    """End an open session: its writer cannot commit any more. False: the writer, or another pruner, was first."""
    return store.put_new(folder + "end", _ENDED + os.urandom(16).hex().encode("ascii"))


def remove_session(store: ObjectStore, folder: str) -> None:
    """Remove a session that is over. `open` goes first: a writer that finds no `end` then sees that it is too late."""
    for part in ("open", "beat", "end"):
        store.delete(folder + part)


def _ended(store: ObjectStore) -> RepositoryError:
    return RepositoryError(
        f"The session of this writer in the repository at {store.label} was ended by image_prune, as nothing was heard of it for too long. "
        "There is no image. Run it again: what is stored so far is found and not stored twice.")
