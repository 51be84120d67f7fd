# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packs the library as one file that any Python from 3.6 on runs: a zipapp with the same bytes for the same sources."""

import hashlib
import io
import os
import tempfile
import zipfile

PACKAGE = "agnostic_recovery_engine"
LIBRARY = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "module_utils")

MAIN = '''\
import sys

from {package}.job.cli import main

sys.exit(main(engine=sys.argv[0]))
'''.format(package=PACKAGE)

# The earliest time that a zip file can hold: sources are told apart by their bytes, not by when they were checked out.
EPOCH = (1980, 1, 1, 0, 0, 0)


def build_engine(library=LIBRARY):
    """The zipapp's bytes."""
    sources = {"__main__.py": MAIN.encode("ascii")}
    for name in _modules(library):
        with open(os.path.join(library, name), "rb") as handle:
            sources[PACKAGE + "/" + name] = handle.read()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(sources):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, sources[name])
    return buffer.getvalue()


def _modules(library):
    for folder, folders, names in os.walk(library):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            if name.endswith(".py"):
                yield os.path.relpath(os.path.join(folder, name), library).replace(os.sep, "/")


def engine_digest(data):
    """SHA-256 of the zipapp in hex; the file is named by it."""
    return hashlib.sha256(data).hexdigest()


def engine_name(digest):
    return "engine-{0}.pyz".format(digest[:16])


def save_engine(data, folder):
    """Keep the zipapp in a folder of the controller; returns its path. Forks that do the same at once do not disturb each other."""
    path = os.path.join(folder, engine_name(engine_digest(data)))
    if not os.path.exists(path):
        handle, temporary = tempfile.mkstemp(prefix=".engine-", dir=folder)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        os.rename(temporary, path)
    return path
