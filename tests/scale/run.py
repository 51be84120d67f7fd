# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""List, prune and verify a large synthetic repository, and print seconds and memory. Usage: run.py WORK_FOLDER [SHARE]

SHARE 1 is 10,000 images with 5 million chunks, one of them of a disk of 100 TB; 0.1 is a tenth of each.
"""

import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import conftest  # noqa: E402, F401  pylint: disable=wrong-import-position,unused-import   # finds the collection
from scale_store import ScaleStore, chunk_id, make_ids  # noqa: E402  pylint: disable=wrong-import-position

from ansible_collections.agnostic.recovery.plugins.module_utils.image import index, manifest, progress  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.image.prune import prune  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.image.retention import Policy, reasons_to_keep  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.image.verify import verify  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keys import NoKey  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.repository import init_repository, open_repository  # noqa: E402

CHUNK = 8 << 20
PER_PAGE = index.ENTRIES_PER_PAGE
PAGE_SPAN = CHUNK * PER_PAGE
LARGE_DISK = 100 * 10 ** 12
IMAGES_PER_MACHINE = 100
DISK_PAGES = 29                          # of an ordinary machine: some 240 GB, all of it in use
MEMORY_LIMIT = 400                       # MiB
NEW_PER_IMAGE = 10                       # chunks that an image has more than the one before


class Builder:
    """Writes images; chunks are numbers that go up."""

    def __init__(self, repository):
        self.repository = repository
        self.pages = index.PageStore(repository)
        self.next = 0

    def page(self, numbers):
        builder = index.PageBuilder(PER_PAGE)
        for entry, number in enumerate(numbers):
            builder.set_stored(entry, chunk_id(number))
        data = builder.data()
        page_id = self.repository.page_ids.of(data)
        self.pages.store(page_id, data)
        return page_id

    def take(self, count):
        self.next += count
        return list(range(self.next - count, self.next))

    def image(self, machine, size, pages, day):
        info = manifest.DiskInfo("sda", size, 512, size, size)
        disks = (manifest.ManifestDisk(info, b"".join(pages), ()),)
        image_id = manifest.new_image_id(machine, 1700000000 + day * 86400)
        root = manifest.merkle_root([("sda", size, disks[0].pages)])
        image = manifest.ImageInfo(image_id, machine, manifest.iso_time(0), "offline", "", (info,), size, size, 0, 0, 0.0)
        sealed = manifest.seal_manifest(self.repository, manifest.Manifest(image, CHUNK, PER_PAGE, disks, {}, {}, root))
        assert self.repository.store.put_new(manifest.object_name(image_id), sealed)

    def large(self, share):
        count = int(LARGE_DISK * share) // PAGE_SPAN
        used = int(2000 * share)
        empty = index.PageBuilder(PER_PAGE).data()
        empty_id = self.repository.page_ids.of(empty)
        self.pages.store(empty_id, empty)
        self.image("large", count * PAGE_SPAN, [self.page(self.take(PER_PAGE)) for _unused in range(used)] + [empty_id] * (count - used), 0)

    def machine(self, name):
        content = [self.take(PER_PAGE) for _unused in range(DISK_PAGES)]
        pages = [self.page(numbers) for numbers in content]
        for day in range(IMAGES_PER_MACHINE):
            self.image(name, DISK_PAGES * PAGE_SPAN, pages, day)
            place = day % DISK_PAGES
            start = day % 90 * NEW_PER_IMAGE
            content[place][start:start + NEW_PER_IMAGE] = self.take(NEW_PER_IMAGE)
            pages[place] = self.page(content[place])


def anonymous_memory():
    with open("/proc/self/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def measured(what, work):
    """Memory is that of the process itself: the ids of the synthetic store are a mapped file."""
    started, processor, over = time.monotonic(), time.process_time(), threading.Event()
    highest = [0.0]

    def watch():
        while not over.wait(0.05):
            highest[0] = max(highest[0], anonymous_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        result = work()
    finally:
        over.set()
        watcher.join()
    assert highest[0] < MEMORY_LIMIT, f"{what} took {highest[0]:.0f} MiB"
    print(f"| {what} | {time.monotonic() - started:.0f} | {time.process_time() - processor:.0f} | {highest[0]:.0f} |", flush=True)
    return result


def build(path, ids, share):
    class Everything(ScaleStore):        # while it is built nobody asks for chunks
        def __init__(self):              # pylint: disable=super-init-not-called
            super(ScaleStore, self).__init__(path)

    with Everything() as store:
        init_repository(store, NoKey(), chunk_size=CHUNK, encrypted=False)
        builder = Builder(open_repository(store, NoKey()))
        builder.large(share)
        for number in range(int(100 * share)):
            builder.machine(f"machine{number:03d}")
        store.flush()
    make_ids(ids, builder.next)
    return builder.next


def list_all(repository):
    assert len(manifest.list_images(repository)) == len(list(manifest.image_ids(repository)))


def verify_all(repository):
    assert not verify(repository).problems


def prune_half(repository):
    ids_now = list(manifest.image_ids(repository))
    kept = reasons_to_keep(ids_now, Policy(last=IMAGES_PER_MACHINE // 2))
    result = prune(repository, [image for image, reasons in kept.items() if not reasons], progress.NoProgress())
    print(f"pruned: {result._replace(removed_images=len(result.removed_images))}", file=sys.stderr)
    assert not verify(repository, ids_now[-1:]).problems


ACTIONS = {"list all images with their manifests": list_all, "verify, structure": verify_all, "prune half of the images": prune_half}


def main(work, share="1", what=""):
    """Without `what` everything, each action in a process of its own, so that its highest memory is its own."""
    path, ids = os.path.join(work, "repository"), os.path.join(work, "ids")
    if what:
        with ScaleStore(path, ids, CHUNK) as store:
            print(f"| (the synthetic store itself) | | | {anonymous_memory():.0f} |", flush=True)
            measured(what, lambda: ACTIONS[what](open_repository(store, NoKey())))
        return
    started = time.monotonic()
    count = build(path, ids, float(share))
    print(f"built {count} chunks in {time.monotonic() - started:.0f} s\n", flush=True)
    print("| what | seconds | processor seconds | highest memory, MiB |\n| --- | --- | --- | --- |", flush=True)
    for each in ACTIONS:
        subprocess.run([sys.executable, os.path.abspath(__file__), work, share, each], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
