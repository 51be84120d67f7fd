# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the operator is told when a store cannot be used, and what a key with few rights can do."""

import json
import os
import socket
import subprocess
import sys

import boto3
import pytest
import store_shop
from keystone_stub import KeystoneStub

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import RepositoryError
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.open import open_store


def message(location, action=lambda store: store.create()):
    """The message of the RepositoryError that `action` ends with."""
    with pytest.raises(RepositoryError) as caught:
        with open_store(location) as store:
            action(store)
    return str(caught.value)


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@pytest.fixture(name="made")
def fixture_made(new_location):
    """The location of a bucket that is there."""
    location = new_location("s3-ceph")
    with open_store(location) as store:
        store.create()
    return location


@pytest.mark.parametrize("changes, words", [
    ({"access_key": "nobody"}, "does not know the access key"),
    ({"secret_key": "wrong"}, "The secret key does not belong to the access key"),
    ({"bucket": "not-there-at-all", "create": False}, "There is no bucket not-there-at-all"),
    ({"bucket": "Not_a Name"}, "ucket name"),
    ({"ca_bundle": "/nonexistent/ca.pem"}, "There is no file /nonexistent/ca.pem"),
    ({"prefix": "a//b"}, "The prefix 'a//b' is none"),
    ({"endpoint_url": "no url"}, "does not accept this location"),
])
def test_s3_location(made, changes, words):
    assert words in message(dict(made, **changes))


def test_s3_endpoint(made, radosgw):
    assert "failed" in message(dict(made, endpoint_url=f"http://127.0.0.1:{free_port()}", retry_seconds=0.5))
    assert "no trusted TLS connection" in message(dict(made, endpoint_url=radosgw["tls_endpoint"]))
    assert "speaks TLS" in message(dict(made, endpoint_url=radosgw["endpoint"].replace("http:", "https:")))


def test_s3_object_requests_tell_a_bucket_that_is_gone(made):
    gone = dict(made, bucket="not-there-at-all")
    assert "no such bucket" in message(gone, lambda store: store.put("chunks/ab/x", b"x"))
    assert "no such bucket" in message(gone, lambda store: store.get("chunks/ab/x"))


def test_s3_clock(made, tmp_path):
    """A host whose clock is an hour ahead. botocore takes the time from datetime, which a process of its own may replace."""
    script = tmp_path / "skewed.py"
    script.write_text(
        "import datetime, json, sys\n"
        "import botocore.auth\n"
        "class Ahead(datetime.datetime):\n"
        "    @classmethod\n"
        "    def utcnow(cls, real=datetime.datetime):\n"
        "        return real.utcnow() + datetime.timedelta(hours=1)\n"
        "botocore.auth.datetime.datetime = Ahead\n"
        "from ansible_collections.agnostic.recovery.plugins.module_utils.repository.open import open_store\n"
        "open_store(json.load(sys.stdin)).peek('repository.json', 10)\n")
    result = subprocess.run([sys.executable, str(script)], input=json.dumps(made), stderr=subprocess.PIPE, universal_newlines=True,
                            check=False, timeout=120)
    assert "RepositoryError" in result.stderr and "Set the clock" in result.stderr


def test_s3_without_credentials(made, monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    bare = {name: value for name, value in made.items() if name not in ("access_key", "secret_key")}
    assert "this host has no credentials" in message(bare)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", made["access_key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", made["secret_key"])
    with open_store(bare) as store:
        assert store.put_new("images/web/1", b"with the host's own credentials")


def owner(location):
    return boto3.client("s3", endpoint_url=location["endpoint_url"], region_name="us-east-1", aws_access_key_id=location["access_key"],
                        aws_secret_access_key=location["secret_key"])


def allow(location, objects):
    """Give the user "limited" a list of the bucket and these actions on its objects, as docs/stores.md says."""
    arn = f"arn:aws:s3:::{location['bucket']}"
    statements = [{"Effect": "Allow", "Principal": {"AWS": [f"arn:aws:iam:::user/{user}"]}, "Action": actions, "Resource": [resource]}
                  for user, actions, resource in (("limited", objects, arn + "/*"), ("limited", ["s3:ListBucket"], arn),
                                                  ("owner", ["s3:GetObject"], arn + "/*"))]
    owner(location).put_bucket_policy(Bucket=location["bucket"], Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))


def test_s3_rights(made, radosgw, tmp_path):
    limited = dict(made, access_key=radosgw["limited_access_key"], secret_key=radosgw["limited_secret_key"])
    assert "s3:ListBucket" in message(limited)
    assert "s3:CreateBucket" in message(dict(limited, bucket="one-more-bucket", create=True))
    shop = store_shop.Shop(made, chunks=3)
    allow(made, ["s3:GetObject", "s3:PutObject"])             # what a capture host needs
    image = shop.capture(limited)
    assert "s3:DeleteObject" in message(limited, lambda store: store.delete(f"images/{image.id}"))
    allow(made, ["s3:GetObject"])                             # what a worker needs
    assert shop.verify(limited) == [image.id]
    assert shop.restore(image.id, tmp_path / "disk", limited) == bytes(shop.content)
    shop.change(0)
    with pytest.raises(RepositoryError, match="s3:PutObject"):
        shop.capture(limited)
    allow(made, ["s3:PutObject"])
    assert "s3:GetObject" in message(limited, lambda store: store.get("repository.json"))
    assert shop.verify() == [image.id]


@pytest.mark.parametrize("changes, words", [
    ({"container": "not-there-at-all", "create": False}, "There is no container not-there-at-all"),
    ({"auth": {"password": "wrong"}}, "refused user owner:swift"),
    ({"auth": {"auth_url": "{endpoint}/nowhere"}}, "is no place to sign in"),
    ({"auth": {"username": None}}, "needs auth with auth_url, username and password"),
    ({"auth": {"auth_url": "nonsense"}}, "is not a URL"),
])
def test_swift_location(new_location, radosgw, changes, words):
    location = new_location("swift-ceph")
    auth = {name: value and value.format(**radosgw) for name, value in dict(location["auth"], **changes.get("auth", {})).items()}
    assert words in message(dict(location, **dict(changes, auth=auth)))


def test_swift_endpoint_and_container(new_location, radosgw):
    location = new_location("swift-ceph")
    unreachable = dict(location["auth"], auth_url=f"http://127.0.0.1:{free_port()}/auth/v1.0")
    assert "failed" in message(dict(location, auth=unreachable, retry_seconds=0.5))
    untrusted = dict(location["auth"], auth_url=radosgw["tls_endpoint"] + "/auth/v1.0")
    assert "no trusted TLS connection" in message(dict(location, auth=untrusted))
    assert "no such container" in message(location, lambda store: store.put("chunks/ab/x", b"x"))


@pytest.fixture(name="keystone")
def fixture_keystone(radosgw):
    stub = KeystoneStub(radosgw)
    yield stub
    stub.close()


@pytest.mark.parametrize("auth, auth_type", [
    ({"username": "dr", "password": "secret", "project_name": "p", "user_domain_name": "Default", "project_domain_name": "Default"}, None),
    ({"application_credential_id": "id", "application_credential_secret": "secret"}, "v3applicationcredential"),
])
def test_swift_by_keystone(keystone, auth, auth_type, tmp_path):
    """Also with a token that expires in the middle of the work."""
    location = {"type": "swift", "container": f"keystone-{os.getpid()}-{len(auth)}", "auth": dict(auth, auth_url=keystone.url),
                "create": True, "auth_type": auth_type, "region": "One"}
    shop = store_shop.Shop(location, chunks=3)
    image = shop.capture()
    with open_store(location) as store:
        store.size("repository.json")
        keystone.expire()
        signed_in = keystone.tokens
        assert store.size("repository.json") > 0
        assert keystone.tokens == signed_in + 1
    assert shop.restore(image.id, tmp_path / "disk") == bytes(shop.content)
    wrong = {name: "wrong" if value == "secret" else value for name, value in location["auth"].items()}
    assert "Keystone refused the credentials" in message(dict(location, auth=wrong))
    assert "has no such object store" in message(dict(location, region="Two"))
