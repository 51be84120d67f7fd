# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prune: remove images, and the chunks and pages that no image needs any more, while captures run.

    remove images -> sessions -> lists -> mark -> decide older lists -> sweep
        -> publish a list -> sessions -> look again -> decide -> delete

docs/format.md, "Sessions and tombstones", says why that loses nothing; tests/unit/.../deletion_model.py proves it for small cases. A prune
that is killed anywhere is finished by the next one. Several at once do no harm. The capture credential suffices.
"""

import re
import struct
import time
from typing import Callable, Dict, Iterable, List, NamedTuple, Sequence, Tuple

from ..errors import RepositoryError
from ..repository import tombstones
from ..repository.repository import Repository
from ..repository.sessions import SILENT_SECONDS, SessionState, end_session, read_sessions, remove_session
from ..repository.store import Entry
from ..repository.tombstones import CHUNK_RECORD, PAGE_RECORD, GivenUp, Names, TombstoneList, chunk_record, records, split_chunk_record
from .index import chunk_name, page_name
from .live import Live
from .manifest import PREFIX, Manifest, image_id_of, object_name, open_manifest
from .pool import run, worker_count
from .progress import CancelledError

CLOCK_SKEW = 900                 # seconds that the clocks of one store's servers may differ
MAX_NAMES = tombstones.REMEMBERED        # in one list; what is left over comes with the next prune
_FEW = 64                        # names in a list that a full store takes, most likely
_BATCH = 200                     # names that are deleted together
_CHUNK = re.compile(r"chunks/[0-9a-f]{2}/([0-9a-f]{64})(?:\.([1-9][0-9]{0,9}))?\Z")
_PAGE = re.compile(r"index/[0-9a-f]{2}/([0-9a-f]{64})\Z")
_SIZE = struct.Struct(">I")


class PruneResult(NamedTuple):
    """What a prune did, or with `check` would do. Bytes are those of stored objects.

    `announced`: named in a published list; a later prune deletes them, when the captures that run now have ended. `unfinished`: sessions
    that announced a commit and were never heard of again; what they need is kept.
    """
    removed_images: Tuple[str, ...]
    images: int                          # that are left
    needed_chunks: int
    deleted: int
    deleted_bytes: int
    announced: int
    announced_bytes: int
    open_sessions: int
    ended_sessions: int
    unfinished: Tuple[str, ...]
    seconds: float


def prune(repository: Repository, remove: Sequence[str], progress, workers: int = 0, check: bool = False, max_wait: float = 300,
          silent: float = SILENT_SECONDS) -> PruneResult:
    """Remove these images and all objects that no image needs.

    Waits at most `max_wait` seconds for listings to settle; what cannot be deleted safely by then is left to the next prune. Sessions
    that were silent for `silent` seconds are ended. Raises RepositoryError, DamagedObjectError (an image cannot be read, so it is not
    known what it needs: nothing was deleted), CancelledError.
    """
    return _Prune(repository, progress, workers, check, max_wait, silent).run(remove)


class _Candidates:
    """Objects that nobody seems to need: packed records, each followed by its size."""

    def __init__(self):
        self.chunks = []                 # type: List[bytes]
        self.pages = []                  # type: List[bytes]

    def __len__(self) -> int:
        return len(self.chunks) + len(self.pages)

    @property
    def bytes(self) -> int:
        return sum(_SIZE.unpack(item[-4:])[0] for item in self.chunks + self.pages)

    def names(self) -> Names:
        return tombstones.pack((item[:-4] for item in self.chunks), (item[:-4] for item in self.pages))

    def split(self, count: int) -> Tuple["_Candidates", "_Candidates"]:
        """(the first `count` chunks, all others)"""
        first, others = _Candidates(), _Candidates()
        first.chunks, others.chunks, others.pages = self.chunks[:count], self.chunks[count:], self.pages
        return first, others

    def without(self, kept: Names) -> "_Candidates":
        rest = _Candidates()
        chunks, pages = set(records(kept.chunks, CHUNK_RECORD)), set(records(kept.pages, PAGE_RECORD))
        rest.chunks = [item for item in self.chunks if item[:-4] not in chunks]
        rest.pages = [item for item in self.pages if item[:-4] not in pages]
        return rest


class _Prune:

    def __init__(self, repository: Repository, progress, workers: int, check: bool, max_wait: float, silent: float):
        self._repository = repository
        self._store = repository.store
        self._progress = progress
        self._workers = workers
        self._check = check
        self._max_wait = max_wait
        self._silent = silent
        self._live = Live(repository, progress)
        self._marked = set()             # type: set   # entries of manifests that were marked
        self._removed = set()            # type: set   # names of manifests
        self._ended = 0
        self._deleted = 0
        self._deleted_bytes = 0

    def run(self, remove: Sequence[str]) -> PruneResult:
        started = time.monotonic()
        self._progress.phase("images", 0)
        self._remove_images(remove)              # first: in a store that is full, that makes the little room that the rest needs
        self._progress.phase("sessions", 0)
        now = 0.0 if self._check else self._clock()
        sessions = self._resolve(now)
        lists = tombstones.read_lists(self._store)
        images = self._manifests()
        self._progress.phase("mark", 0)
        self._mark(sessions, images)
        if not self._check:
            lists = [self._decide(item) if item.kept is None and self._may_decide(item, sessions, now) else item for item in lists]
        self._progress.phase("sweep", 0)
        candidates = self._sweep(lists, sessions, now)
        left = candidates
        if not self._check:
            left = self._bury(candidates, lists, now)
            self._tidy(sessions, lists, now)
        return PruneResult(
            removed_images=tuple(remove), images=len(images), needed_chunks=self._live.counts[0], deleted=self._deleted,
            deleted_bytes=self._deleted_bytes, announced=len(left), announced_bytes=left.bytes,
            open_sessions=sum(item.state == "open" for item in sessions.values()), ended_sessions=self._ended,
            unfinished=tuple(sorted(item.folder for item in sessions.values() if item.state == "commit")),
            seconds=round(time.monotonic() - started, 3))

    def _clock(self) -> float:
        """The time of the store: its clock is the only one that is used."""
        self._store.put(tombstones.CLOCK, b"the store's time\n")
        self._store.flush()
        return next(entry.modified for entry in self._store.scan(tombstones.PREFIX) if entry.name == tombstones.CLOCK)

    # -- sessions ---------------------------------------------------------------------------------------------------------------

    def _resolve(self, now: float) -> Dict[str, SessionState]:
        """The sessions; those that were silent for too long are ended."""
        sessions = read_sessions(self._store)
        for folder, session in sessions.items():
            if session.state == "open" and now - session.heard > self._silent and not self._check:
                if end_session(self._store, folder):
                    self._ended += 1
                    sessions[folder] = session._replace(state="ended")
                else:
                    sessions[folder] = read_sessions(self._store).get(folder, session)
        return sessions

    def _may_decide(self, item: TombstoneList, sessions: Dict[str, SessionState], now: float) -> bool:
        """Whether every writer that began without knowing the list is over, and shows in the listings."""
        if now < item.published + 2 * self._store.settle:
            return False
        return not any(session.state == "open" and session.opened <= item.published + CLOCK_SKEW for session in sessions.values())

    # -- images -----------------------------------------------------------------------------------------------------------------

    def _remove_images(self, remove: Sequence[str]) -> None:
        self._removed = {object_name(image_id) for image_id in remove}
        if not self._check:
            for name in sorted(self._removed):
                self._store.delete(name)

    def _manifests(self) -> List[Entry]:
        return [entry for entry in self._store.scan(PREFIX) if image_id_of(entry.name) and entry.name not in self._removed]

    def _mark(self, sessions: Dict[str, SessionState], images: List[Entry]) -> None:
        """Mark what these images need that were not marked before, and what sessions have announced."""
        self._live.mark(self._announced_images(sessions), self._workers)
        self._live.mark(self._images([entry for entry in images if entry not in self._marked]), self._workers)
        self._marked.update(images)

    def _announced_images(self, sessions: Dict[str, SessionState]) -> Iterable[Manifest]:
        for session in sessions.values():
            image_id = image_id_of(session.image)
            if session.state == "commit" and image_id:
                yield open_manifest(self._repository, image_id, session.sealed)
            elif session.state == "done" and image_id and session.image not in self._removed:      # a listing may not show it yet
                yield from self._images([Entry(session.image, 0, 0.0)])

    def _images(self, entries: List[Entry]) -> Iterable[Manifest]:
        for entry in entries:
            if self._store.size(entry.name) is not None:     # else it was removed since it was listed
                yield open_manifest(self._repository, image_id_of(entry.name), self._store.get(entry.name))

    # -- lists ------------------------------------------------------------------------------------------------------------------

    def _decide(self, item: TombstoneList) -> TombstoneList:
        """Settle for good which names of a list are kept: those that some image needs after all."""
        kept = tombstones.pack(
            (record for record in records(item.names.chunks, CHUNK_RECORD) if self._live.has_chunk(record)),
            (record for record in records(item.names.pages, PAGE_RECORD) if self._live.has_page(record)))
        return item._replace(kept=tombstones.decide(self._store, item.number, kept))

    def _sweep(self, lists: List[TombstoneList], sessions: Dict[str, SessionState], now: float) -> _Candidates:
        """Delete what was decided on; collect what else nobody needs and what is older than all that runs."""
        horizon = min([session.opened for session in sessions.values() if session.state == "open"] + [now or float("inf")])
        decided = GivenUp([item for item in lists if item.kept is not None])
        pending = GivenUp([item for item in lists if item.kept is None])
        found = _Candidates()
        self._delete(self._unneeded(horizon, decided, pending, found))
        return found

    def _unneeded(self, horizon: float, decided: GivenUp, pending: GivenUp, found: _Candidates) -> Iterable[Tuple[str, int]]:
        """(name, size) of objects that may be deleted now; others are added to `found`."""
        for prefix, record_of, is_live, holds, collect in (
                ("chunks/", _chunk_of, self._live.has_chunk, GivenUp.holds_chunk, found.chunks),
                ("index/", _page_of, self._live.has_page, GivenUp.has_page, found.pages)):
            for entry in self._store.scan(prefix):
                record = record_of(entry.name)
                if record is None or is_live(record):
                    continue
                if holds(decided, record):
                    yield entry.name, entry.size
                elif entry.modified < horizon and len(found) < MAX_NAMES and (self._check or not holds(pending, record)):
                    collect.append(record + _SIZE.pack(min(entry.size, 0xFFFFFFFF)))

    def _bury(self, candidates: _Candidates, lists: List[TombstoneList], now: float) -> _Candidates:
        """Publish a list of the candidates, and delete them if that is safe within the time that may be waited; returns what is left."""
        pending = sum(item.names.count for item in lists if item.kept is None)
        if not len(candidates) or pending + len(candidates) > 2 * MAX_NAMES:
            return _Candidates()
        number = max([item.number for item in lists] or [0]) + 1
        candidates, rest = self._publish(number, candidates, lists)
        if not len(candidates) or 2 * self._store.settle > self._max_wait:
            return candidates
        self._progress.phase("settle", 0)
        self._wait(2 * self._store.settle)
        sessions = self._resolve(now)
        mine = [item for item in tombstones.read_lists(self._store) if item.number == number]
        if not mine or any(session.state == "open" for session in sessions.values()):
            return candidates
        self._mark(sessions, self._manifests())
        decided = self._decide(mine[0])
        self._progress.phase("delete", 0)
        doomed = candidates.without(decided.kept)
        self._delete(_named(doomed))
        return self._bury(rest, tombstones.read_lists(self._store), now)

    def _publish(self, number: int, candidates: _Candidates, lists: List[TombstoneList]) -> Tuple[_Candidates, _Candidates]:
        """Publish a list of the candidates, or where the store is too full for that, of a few; (those on the list, the others)."""
        try:
            return self._publish_all(number, candidates, lists), _Candidates()
        except RepositoryError:
            few, rest = candidates.split(_FEW)
            if not len(few) or not len(rest):
                raise
            return self._publish_all(number, few, lists), rest

    def _publish_all(self, number: int, candidates: _Candidates, lists: List[TombstoneList]) -> _Candidates:
        names = candidates.names()
        is_ours = tombstones.publish(self._store, number, _new_base(lists, names.count), names)
        return candidates if is_ours else _Candidates()      # else another prune does the same in this moment

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self._progress.cancelled():
                raise CancelledError("Cancelled on request.")
            time.sleep(min(0.2, seconds))

    def _delete(self, objects: Iterable[Tuple[str, int]]) -> None:
        def make_worker() -> Callable:
            return lambda batch: self._store.delete_all([name for name, _size in batch])

        def batches():
            batch = []
            for name, size in objects:
                self._deleted += 1
                self._deleted_bytes += size
                batch.append((name, size))
                if len(batch) == _BATCH:
                    yield batch
                    batch = []
            if batch:
                yield batch

        if self._check:
            for name, size in objects:
                self._deleted += 1
                self._deleted_bytes += size
            return
        count = worker_count(self._workers, self._repository.chunk_size, self._store.parallel)
        run(batches(), make_worker, count, self._progress.cancelled)

    def _tidy(self, sessions: Dict[str, SessionState], lists: List[TombstoneList], now: float) -> None:
        """Remove sessions that are over, and lists that are forgotten."""
        for session in sessions.values():
            if session.state in ("done", "ended") and session.heard + 2 * self._store.settle <= now:
                remove_session(self._store, session.folder)
        tombstones.forget(self._store, tombstones.newest_base(lists))


def check_images(repository: Repository, image_ids: Sequence[str]) -> None:
    """Raises RepositoryError when one of these images does not exist."""
    for image_id in image_ids:
        if repository.store.size(object_name(image_id)) is None:
            raise RepositoryError(f"There is no image {image_id} in the repository at {repository.store.label}.")


def _new_base(lists: List[TombstoneList], count: int) -> int:
    """The oldest lists are forgotten, as far as they are decided, so that writers need not read more than so many names."""
    base = tombstones.newest_base(lists)
    count += sum(item.names.count for item in lists)
    for item in lists:
        if count <= tombstones.REMEMBERED or item.kept is None:
            break
        base = item.number
        count -= item.names.count
    return base


def _named(candidates: _Candidates) -> Iterable[Tuple[str, int]]:
    for item in candidates.chunks:
        yield chunk_name(*split_chunk_record(item[:-4])), _SIZE.unpack(item[-4:])[0]
    for item in candidates.pages:
        yield page_name(item[:-4]), _SIZE.unpack(item[-4:])[0]


def _chunk_of(name: str):
    """The record of a chunk's object name; None for what is no such name."""
    match = _CHUNK.match(name)
    if not match:
        return None
    chunk_id, generation = bytes.fromhex(match.group(1)), int(match.group(2) or 0)
    return chunk_record(chunk_id, generation) if generation < 1 << 32 and name == chunk_name(chunk_id, generation) else None


def _page_of(name: str):
    match = _PAGE.match(name)
    return bytes.fromhex(match.group(1)) if match and name == page_name(bytes.fromhex(match.group(1))) else None
