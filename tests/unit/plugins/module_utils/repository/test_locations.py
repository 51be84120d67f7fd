# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locations: what they open, how they are named, and that their secrets stay theirs."""

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import RepositoryError
from ansible_collections.agnostic.recovery.plugins.module_utils.job import identity
from ansible_collections.agnostic.recovery.plugins.module_utils.job.options import REPOSITORY_SPEC
from ansible_collections.agnostic.recovery.plugins.module_utils.job.secrets import SECRET_OPTIONS, Scrubber
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.open import open_store, repository_name

S3 = {"type": "s3", "endpoint_url": "https://s3.example.org/", "bucket": "recovery", "prefix": "site1", "access_key": "AKEXAMPLE",
      "secret_key": "s3-secret-text", "session_token": "token-text"}
SWIFT = {"type": "swift", "container": "recovery", "auth": {
    "auth_url": "https://keystone.example.org/v3", "username": "dr", "password": "swift-secret-text", "project_name": "p"}}


@pytest.mark.parametrize("location, name", [
    ({"path": "/srv/r"}, "directory:/srv/r"),
    ({"type": "directory", "path": "/srv/r/"}, "directory:/srv/r"),
    (S3, "s3:https://s3.example.org/recovery/site1"),
    (dict(S3, endpoint_url=None, prefix=None), "s3:recovery"),
    (SWIFT, "swift:https://keystone.example.org/v3/recovery"),
    ({"type": "swift", "container": "c", "cloud": "mine", "auth": None}, "swift:mine/c"),
])
def test_names(location, name):
    assert repository_name(location) == name


@pytest.mark.parametrize("location, words", [
    ({"type": "tape"}, "types are: directory, s3, swift"),
    ({"type": "s3"}, "needs a bucket"),
    ({"type": "swift"}, "needs a container"),
    ({"type": "s3", "bucket": "b", "prefix": "../up and"}, "prefix"),
    ({"type": "s3", "bucket": "b", "prefix": "x" * 201}, "prefix"),
])
def test_what_is_no_location(location, words):
    with pytest.raises(RepositoryError, match=words):
        open_store(location)


def spec(location, **changes):
    return dict({"kind": "capture", "machine": "web1", "repository": location, "disks": [{"name": "sda", "path": "/dev/sda"}]}, **changes)


def test_credentials_are_no_part_of_a_jobs_identity():
    other = dict(S3, access_key="OTHER", secret_key="other", session_token=None)
    assert identity.job_id(spec(S3)) == identity.job_id(spec(other))
    assert identity.job_id(spec(S3)) != identity.job_id(spec(dict(S3, prefix="site2")))
    assert "capture of machine 'web1' into s3:https://s3.example.org/recovery/site1" in identity.resources(spec(S3))


def test_paths_of_the_host():
    changed = identity.with_host_paths(spec(dict(S3, ca_bundle="~/ca.pem")))
    assert changed["repository"]["ca_bundle"].startswith("/") and changed["repository"]["ca_bundle"].endswith("/ca.pem")


def test_secrets_are_found_however_deep():
    for location in (S3, SWIFT):
        scrub = Scrubber(spec(location, passphrase="the passphrase"))
        text = scrub("s3-secret-text token-text swift-secret-text the passphrase AKEXAMPLE dr")
        hidden = 3 if location is S3 else 2
        assert text.count("********") == hidden and "AKEXAMPLE dr" in text


def test_every_secret_option_is_one_that_is_hidden():
    def no_log(options):
        for name, option in options.items():
            if option.get("no_log"):
                yield name
            yield from no_log(option.get("options", {}))

    found = set(no_log(REPOSITORY_SPEC))
    assert found == {"secret_key", "session_token", "password", "application_credential_secret"}
    assert found <= set(SECRET_OPTIONS)
