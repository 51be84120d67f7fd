# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signing in to OpenStack (Keystone) and to Swift's own TempAuth, which Ceph's radosgw has too."""

from typing import NamedTuple

from ..errors import RepositoryError
from .retry import TransientError


class Access(NamedTuple):
    """The URL of the account, and a token for it."""
    url: str
    token: str


class Keystone:
    """All ways of signing in that clouds.yaml has, password and application credential among them. Needs openstacksdk."""

    def __init__(self, place, label: str, _send):
        import openstack.config
        from keystoneauth1 import exceptions
        self._label = label
        self._failures = exceptions
        self._where = {"service_type": "object-store", "interface": place.interface}
        given = {"auth": place.auth, "cloud": place.cloud, "auth_type": place.auth_type, "region_name": place.region,
                 "cacert": place.ca_bundle, "interface": place.interface}
        try:
            # What is given is not to be mixed with what lies about on the host.
            config = openstack.config.OpenStackConfig(load_yaml_config=not place.auth, load_envvars=not place.auth)
            region = config.get_one(**{name: value for name, value in given.items() if value})
            self._session = region.get_session()
            self.verify = region.get_requests_verify_args()[0]
        except (exceptions.ClientException, openstack.config.exceptions.OpenStackConfigException, TypeError) as error:
            raise RepositoryError(f"{label}: these credentials are not complete: {error}") from error
        if region.get_region_name():
            self._where["region_name"] = region.get_region_name()

    def access(self, renew: bool) -> Access:
        """Signs in if needed; `renew`: the token at hand was refused."""
        failures = self._failures
        try:
            if renew:
                self._session.invalidate()
            access = Access(self._session.get_endpoint(**self._where) or "", self._session.get_token())
        except failures.SSLError as error:
            raise RepositoryError(f"{self._label}: no trusted TLS connection to Keystone ({error}). Give its certificate authority as "
                                  "ca_bundle.") from error
        except failures.Unauthorized as error:
            raise RepositoryError(f"{self._label}: Keystone refused the credentials. Check user, password, project and domains, or the "
                                  "application credential.") from error
        except (failures.ConnectFailure, failures.HttpServerError, failures.RetriableConnectionFailure) as error:
            raise TransientError(f"Keystone cannot be reached ({error})")
        except failures.EndpointNotFound:
            access = Access("", "")
        except failures.ClientException as error:
            raise RepositoryError(f"{self._label}: Keystone did not let us in: {error}") from error
        if not access.url:
            raise RepositoryError(f"{self._label}: the catalogue of this OpenStack has no such object store ({self._where}). Check region "
                                  "and interface.")
        return access


class TempAuth:
    """One request with user and key as headers, as Swift has had it from its beginning."""

    def __init__(self, place, label: str, send):
        self._label = label
        self._send = send
        self.verify = place.ca_bundle or True
        auth = place.auth or {}
        if not all(auth.get(name) for name in ("auth_url", "username", "password")):
            raise RepositoryError(f"{label}: auth_type v1 needs auth with auth_url, username and password.")
        self._url = auth["auth_url"]
        self._headers = {"X-Auth-User": auth["username"], "X-Auth-Key": auth["password"]}

    def access(self, renew: bool) -> Access:     # pylint: disable=unused-argument
        answer = self._send("GET", self._url, headers=self._headers)
        if answer.status_code in (401, 403):
            raise RepositoryError(f"{self._label}: the server refused user {self._headers['X-Auth-User']} at {self._url}. Check username "
                                  "and password.")
        try:
            return Access(answer.headers["X-Storage-Url"], answer.headers["X-Auth-Token"])
        except KeyError as error:
            raise RepositoryError(f"{self._label}: {self._url} is no place to sign in to Swift (HTTP {answer.status_code}). Check "
                                  "auth_url.") from error
