# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engine as the benchmarks call it: one process does one capture, restore or verify, with the key from a file."""

import argparse
import importlib
import os
import sys
import types

_LIBRARY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "plugins", "module_utils")
_package = types.ModuleType("engine_library")
_package.__path__ = [_LIBRARY]
sys.modules["engine_library"] = _package


def library(name):
    """A module of the library, imported without Ansible."""
    return importlib.import_module("engine_library." + name)


def location(repository):
    """A folder, or a bucket as restic writes it, s3:URL/BUCKET, with the credentials in boto3's environment variables."""
    if not repository.startswith("s3:"):
        return {"type": "directory", "path": repository}
    endpoint, bucket = repository[len("s3:"):].rsplit("/", 1)
    return {"type": "s3", "endpoint_url": endpoint, "bucket": bucket, "addressing_style": "path", "create": True}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=["init", "capture", "restore", "verify"])
    parser.add_argument("repository")
    parser.add_argument("disk", nargs="?")
    parser.add_argument("--key-file", required=True)
    parser.add_argument("--chunk-size", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0)
    options = parser.parse_args()
    library("job.memory").keep_freed_memory()           # as jobs do
    with open(options.key_file, "rb") as file:
        key = library("repository.keys").KeyFile(file.read())
    store = library("repository.open").open_store(location(options.repository))
    repositories = library("repository.repository")
    if options.action == "init":
        more = {"chunk_size": options.chunk_size} if options.chunk_size else {}
        repositories.init_repository(store, key, **more)
        return
    repository = repositories.open_repository(store, key)
    quiet = library("image.progress").NoProgress()
    if options.action == "capture":
        with library("source.disk").open_disk(options.disk, "sda") as source:
            disk = library("machine.disk").read_disk(source.name, source.read_at, source.size, source.sector_size)
            ranges = library("source.usedmap").used_map(source.read_at, disk).ranges
            capture_disk = library("image.diskread").CaptureDisk
            library("image.capture").capture_image(
                repository, "bench", {"name": "bench"}, [capture_disk("sda", source.size, source.sector_size, source.read_at, ranges)],
                "offline", {}, quiet, options.workers)
    elif options.action == "restore":
        image = library("image.manifest").find_image(repository, "bench", "latest")
        library("image.restore").restore_image(repository, image.id, {"sda": options.disk}, quiet, options.workers)
    else:
        result = library("image.verify").verify(repository, None, "full", quiet)
        if result.problems:
            sys.exit(repr(result.problems))


if __name__ == "__main__":
    main()
