# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the location of a repository to its object store."""

from ..errors import RepositoryError
from .directory import DirectoryStore
from .store import ObjectStore


def open_store(location: dict) -> ObjectStore:
    """The store at `location`: {"type": "directory", "path": "/srv/repository"}. Touches nothing yet.

    Raises RepositoryError when the location is incomplete or of a type that this version does not know.
    """
    kind = location.get("type", "directory")
    if kind != "directory":
        raise RepositoryError(f"A repository of type {kind!r} is not known; types are: directory.")
    path = location.get("path")
    if not path or not str(path).startswith("/"):
        raise RepositoryError(f"A directory repository needs an absolute path, not {path!r}.")
    return DirectoryStore(str(path))
