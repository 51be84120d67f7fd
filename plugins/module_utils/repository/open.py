# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the location of a repository to its object store.

A location is plain data with a `type`; job/options.py lists what each type takes, plugins/doc_fragments/repository.py describes it.
"""

import re

from ..errors import RepositoryError
from . import retry
from .directory import DirectoryStore
from .remote import RemoteStore
from .store import ObjectStore

_PREFIX = re.compile(r"[A-Za-z0-9_~%.-]+(/[A-Za-z0-9_~%.-]+)*\Z")
_MAX_PREFIX = 200


def open_store(location: dict) -> ObjectStore:
    """The store at `location`, such as {"type": "directory", "path": "/srv/repository"}. Asks nothing of it yet.

    Raises RepositoryError when the location is incomplete, of a type that this version does not know, or its library is missing.
    """
    kind = location.get("type") or "directory"
    if kind not in _TYPES:
        raise RepositoryError(f"A repository of type {kind!r} is not known; types are: {', '.join(_TYPES)}.")
    return _TYPES[kind](location)


def repository_name(location: dict) -> str:
    """A location as a line of text without secrets, the same for all who mean the same place: "s3:https://s3.example.org/bucket/prefix"."""
    kind = location.get("type") or "directory"
    values = dict(location.get("auth") or {}, **location)
    return f"{kind}:" + "/".join(part for part in (str(values.get(name) or "").rstrip("/") for name in _NAMED[kind]) if part)


def _directory(location: dict) -> ObjectStore:
    path = location.get("path")
    if not path or not str(path).startswith("/"):
        raise RepositoryError(f"A directory repository needs an absolute path, not {path!r}.")
    return DirectoryStore(str(path))


def _s3(location: dict) -> ObjectStore:
    from .s3 import S3Client, S3Place
    return _remote(location, "bucket", lambda label: S3Client(_place(S3Place, location), label))


def _swift(location: dict) -> ObjectStore:
    from .swift import SwiftClient, SwiftPlace
    return _remote(location, "container", lambda label: SwiftClient(_place(SwiftPlace, location), label))


def _remote(location, holder, make_client):
    if not location.get(holder):
        raise RepositoryError(f"A repository of type {location['type']} needs a {holder}.")
    prefix = (location.get("prefix") or "").strip("/")
    if prefix and (len(prefix) > _MAX_PREFIX or not _PREFIX.match(prefix)):
        raise RepositoryError(f"The prefix {prefix!r} is none that a repository can have: letters, digits and _~%.- in parts with slashes.")
    label = repository_name(location)
    return RemoteStore(make_client(label), prefix, retry.Retrier(label, location.get("retry_seconds") or retry.DEFAULT_SECONDS))


def _place(kind, location):
    """A NamedTuple of the options in `location` that it has fields for."""
    return kind(**{name: location[name] for name in kind._fields if location.get(name) is not None})


_TYPES = {"directory": _directory, "s3": _s3, "swift": _swift}
_NAMED = {"directory": ("path",), "s3": ("endpoint_url", "bucket", "prefix"), "swift": ("cloud", "auth_url", "container", "prefix")}
