# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""OpenStack Swift, and other servers with its API (Ceph radosgw).

Every object carries its MD5 as ETag: the server checks it when the object is put, this client when it reads a whole object. Listings of
Swift are eventually consistent: an object just stored may be missing in a list for a while, but not when it is asked for by name.
`If-None-Match: *` is not used: of eight writers of one name at a time, three were told by Swift 2.30 that they had made it, and Ceph
ignores it.
"""

import calendar
import hashlib
import json
import os
import sys
import threading
import time
from typing import NamedTuple, Optional
from urllib.parse import quote

from ..errors import DamagedObjectError, RepositoryError
from .remote import Body, Page, RemoteClient, check_announced
from .retry import TransientError
from .store import Entry
from .swift_auth import Keystone, TempAuth

_CONNECTIONS = 64
_PAGE_KEYS = 1000
_TRANSIENT = (408, 409, 422, 429, 498)   # 422: the body did not arrive as it was sent; 498: Swift's rate limit
_MISSING_PACKAGE = "A Swift repository needs python3-openstacksdk (by pip: openstacksdk) for {0} on this host: {1}"


class SwiftPlace(NamedTuple):
    """Where a container is and how to sign in.

    `auth` is as in clouds.yaml; with `auth_type` "v1" it is auth_url, username and password of Swift's own TempAuth (also Ceph's).
    Without `auth` the entry `cloud` of the host's clouds.yaml counts, or OS_... of the environment.
    """
    container: str
    cloud: str = ""
    auth: Optional[dict] = None
    auth_type: str = ""
    region: str = ""
    interface: str = "public"
    ca_bundle: str = ""
    create: bool = False                 # make the container when there is none
    connect_timeout: float = 10.0        # seconds
    read_timeout: float = 60.0


class SwiftClient(RemoteClient):
    """Requests to one container."""

    settle = 1800        # seconds; a container's listing may lag behind while its servers are busy

    def __init__(self, place: SwiftPlace, label: str):
        self.label = label
        self._place = place
        self._timeout = (place.connect_timeout, place.read_timeout)
        if place.ca_bundle and not os.path.isfile(place.ca_bundle):
            raise RepositoryError(f"There is no file {place.ca_bundle} with the certificate authority of {label}.")
        try:
            import requests
            self._failures = requests.exceptions
            self._session = requests.Session()
            for scheme in ("http://", "https://"):
                self._session.mount(scheme, requests.adapters.HTTPAdapter(pool_connections=4, pool_maxsize=_CONNECTIONS))
            login = TempAuth if place.auth_type == "v1" else Keystone
            self._verify = place.ca_bundle or True
            self._login = login(place, label, self._send)
            self._verify = self._login.verify
        except ImportError as error:
            raise RepositoryError(_MISSING_PACKAGE.format(sys.executable, error)) from error
        self._lock = threading.Lock()
        self._access = None

    def make(self) -> None:
        if not self._place.create:
            raise RepositoryError(f"There is no container {self._place.container} ({self.label}). Make it, or let it be made with "
                                  "create: true.")
        self._expect(self._ask("PUT", ""), "make the container", 201, 202)

    def put(self, key: str, data) -> None:
        digest = _md5(data)
        headers = {"Content-Type": "application/octet-stream"}
        if digest:
            headers["ETag"] = digest
        answer = self._ask("PUT", key, data=data, headers=headers)
        self._expect(answer, "store objects", 201)
        if digest and _etag(answer) != digest:
            raise TransientError("the server stored something else than was sent", answered=True)

    def get(self, key: str, offset: int, length: Optional[int]) -> Optional[Body]:
        if offset or length is not None:
            return self._get_part(key, offset, length)
        for _unused in range(2):             # a second look tells damage on the way from damage in the store
            answer = self._ask("GET", key)
            if answer.status_code == 404:
                return None
            self._expect(answer, "read objects", 200)
            digest = _md5(answer.content)
            if not digest or _etag(answer) in (digest, ""):
                return Body(answer.content, len(answer.content))
        raise DamagedObjectError(f"The object {key} in {self.label} is not what was stored: its MD5 differs from its ETag.")

    def _get_part(self, key: str, offset: int, length: Optional[int]) -> Optional[Body]:
        last = "" if length is None else offset + length - 1
        answer = self._ask("GET", key, headers={"Range": f"bytes={offset}-{last}"})
        if answer.status_code == 404:
            return None
        if answer.status_code == 416:        # there is nothing from `offset` on
            return Body(b"", 0)
        self._expect(answer, "read objects", 200, 206)
        if answer.status_code == 200:        # the whole: an empty object
            return Body(answer.content[offset:][:length], len(answer.content))
        return Body(answer.content, int(answer.headers["Content-Range"].rpartition("/")[2]))

    def size(self, key: str) -> Optional[int]:
        answer = self._ask("HEAD", key)
        if answer.status_code == 404:
            return None
        self._expect(answer, "read objects", 200, 204)
        return int(answer.headers["Content-Length"])

    def page(self, prefix: str, mark: Optional[str]) -> Optional[Page]:
        answer = self._ask("GET", "", params={"format": "json", "limit": _PAGE_KEYS, "prefix": prefix, "marker": mark or ""})
        if answer.status_code == 404:
            return None
        self._expect(answer, "list objects", 200, 204)
        try:
            listed = json.loads(answer.content.decode("utf-8")) if answer.status_code == 200 else []
            entries = [Entry(entry["name"], entry["bytes"], _seconds(entry["last_modified"])) for entry in listed]
        except (ValueError, KeyError) as error:          # an answer whose body got lost is no empty list
            raise TransientError(f"the answer to a list request was cut short ({error})", answered=True) from error
        # The end is a page without keys: any other may be shorter than asked for.
        return Page(entries, entries[-1].name if entries else None)

    def delete(self, key: str) -> None:
        answer = self._ask("DELETE", key)
        if answer.status_code != 404:
            self._expect(answer, "remove objects", 204)

    def close(self) -> None:
        self._session.close()

    # -- requests -----------------------------------------------------------------------------------------------------------

    def _ask(self, method: str, key: str, headers=None, **arguments):
        """The answer to a request about an object, or with "" about the container. A token that has expired is renewed once."""
        access = None
        for _unused in range(2):
            access = self._signed_in(access)
            url = "/".join([access.url.rstrip("/"), quote(self._place.container, safe="")] + ([quote(key)] if key else []))
            answer = self._send(method, url, headers=dict(headers or {}, **{"X-Auth-Token": access.token}), **arguments)
            if answer.status_code != 401:
                return answer
        return answer

    def _signed_in(self, refused):
        """What gives access; something new when that is `refused`. Of many threads that meet an expired token one signs in again."""
        with self._lock:
            if self._access is refused:
                self._access = self._login.access(renew=refused is not None)
            return self._access

    def _send(self, method: str, url: str, **arguments):
        """One request, its whole answer read. Raises TransientError when it fails on the way, RepositoryError when TLS is not trusted."""
        try:
            answer = self._session.request(method, url, timeout=self._timeout, verify=self._verify, allow_redirects=False,
                                           stream=True, **arguments)
            announced = answer.headers.get("Content-Length", "")
            if method == "GET" and announced.isdigit():
                check_announced(int(announced), url, self.label)
            received = len(answer.content)
        except self._failures.SSLError as error:
            if "EOF" in str(error):
                raise TransientError(str(error))
            raise RepositoryError(f"{self.label}: no trusted TLS connection ({error}). Give the certificate authority of the server as "
                                  "ca_bundle, and check that the server speaks TLS.") from error
        except (self._failures.InvalidURL, self._failures.MissingSchema, self._failures.InvalidSchema) as error:
            raise RepositoryError(f"{self.label}: {url} is not a URL that can be asked: {error}") from error
        except self._failures.RequestException as error:
            raise TransientError(f"the server cannot be reached ({error})")
        if method != "HEAD" and announced.isdigit() and received != int(announced):
            raise TransientError(f"only {received} of {announced} bytes arrived", answered=True)
        if answer.status_code in _TRANSIENT or (answer.status_code >= 500 and answer.status_code not in (501, 507)):
            pause = answer.headers.get("Retry-After", "")
            raise TransientError(f"the server answered HTTP {answer.status_code}", answered=True,
                                 pause=min(60.0, float(pause)) if pause.isdigit() else 0.0)
        return answer

    def _expect(self, answer, action: str, *statuses: int) -> None:
        status = answer.status_code
        if status in statuses:
            return
        if status == 401:
            raise RepositoryError(f"{self.label}: the server refuses the token that its own sign-in gave. Check region and project.")
        if status == 403:
            raise RepositoryError(f"{self.label}: no permission to {action}. The user needs a role, or a right in the container's ACL, for "
                                  "it.")
        if status == 404:
            raise RepositoryError(f"{self.label}: there is no such container. Check its name, the project and the region.")
        if status in (413, 507):
            raise RepositoryError(f"{self.label}: the quota is used up or the server is full (HTTP {status}). Make room there; what is "
                                  "stored so far stays valid and is not stored twice.")
        raise RepositoryError(f"{self.label}: the server refused to {action}: HTTP {status} {answer.text[:200]}")


def _seconds(text: str) -> float:
    """From "2026-11-22T01:02:03.123456", UTC."""
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))


def _etag(answer) -> str:
    return answer.headers.get("ETag", "").strip('"').lower()


def _md5(data) -> str:
    """"" where Python has no MD5 (FIPS)."""
    try:
        return hashlib.md5(data).hexdigest()
    except ValueError:
        return ""
