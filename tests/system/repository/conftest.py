# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An empty place on each of the servers for every test."""

import itertools
import os
from urllib.parse import urlsplit

import fault_proxy
import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.repository.open import open_store

_numbers = itertools.count(1)


def s3_ceph(radosgw, **changes):
    return dict({"type": "s3", "endpoint_url": radosgw["endpoint"], "bucket": f"bucket-{next(_numbers)}-{os.getpid()}", "create": True,
                 "access_key": radosgw["access_key"], "secret_key": radosgw["secret_key"], "retry_seconds": 120}, **changes)


def swift_ceph(radosgw, **changes):
    auth = {"auth_url": radosgw["swift_auth_url"], "username": radosgw["swift_user"], "password": radosgw["swift_key"]}
    return dict({"type": "swift", "container": f"container-{next(_numbers)}-{os.getpid()}", "create": True, "auth_type": "v1", "auth": auth,
                 "retry_seconds": 120}, **changes)


def s3_moto(url, **changes):
    return dict({"type": "s3", "endpoint_url": url, "bucket": f"bucket-{next(_numbers)}", "create": True, "access_key": "testing",
                 "secret_key": "testing", "retry_seconds": 120}, **changes)


@pytest.fixture(name="new_location")
def fixture_new_location(request, tmp_path):
    """new_location(kind, **options): the location of an empty place on a server; kinds are those of KINDS."""
    def make(kind, **changes):
        if kind == "directory":
            return {"type": "directory", "path": str(tmp_path / f"directory-{next(_numbers)}")}
        if kind == "s3-moto":
            return s3_moto(request.getfixturevalue("moto"), **changes)
        radosgw = request.getfixturevalue("radosgw")
        if kind == "swift-ceph":
            return swift_ceph(radosgw, **changes)
        if kind == "s3-ceph-tls":
            return s3_ceph(radosgw, **dict({"endpoint_url": radosgw["tls_endpoint"], "ca_bundle": radosgw["ca_bundle"], "prefix": "dr/one"},
                                           **changes))
        return s3_ceph(radosgw, **changes)
    return make


KINDS = ("directory", "s3-ceph", "s3-ceph-tls", "swift-ceph", "s3-moto")


@pytest.fixture(name="location", params=KINDS)
def fixture_location(request, new_location):
    return new_location(request.param)


@pytest.fixture(name="store")
def fixture_store(location):
    with open_store(location) as store:
        store.create()
        yield store


@pytest.fixture(name="behind_proxy")
def fixture_behind_proxy():
    """behind_proxy(location): (the proxy, the location as it is reached through it)."""
    proxies = []

    def make(location, **options):
        address = urlsplit(location["endpoint_url"] if location["type"] == "s3" else location["auth"]["auth_url"])
        proxy = fault_proxy.FaultProxy(address.hostname, address.port, **options)
        proxies.append(proxy)
        if location["type"] == "s3":
            return proxy, dict(location, endpoint_url=proxy.url)
        return proxy, dict(location, auth=dict(location["auth"], auth_url=proxy.url + address.path))

    yield make
    for proxy in proxies:
        proxy.close()
