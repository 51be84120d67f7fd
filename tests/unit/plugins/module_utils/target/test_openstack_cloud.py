# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong on the way to a cloud is said in words. The real errors are met in tests/openstack."""

import sys
import types

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.target.openstack_cloud import connection


def test_without_openstacksdk(monkeypatch):
    monkeypatch.setitem(sys.modules, "openstack", None)
    with pytest.raises(TargetError, match="openstacksdk is needed on the host that talks to OpenStack"):
        with connection("recovery"):
            pass


@pytest.fixture
def failing(monkeypatch):
    """Stands in for openstacksdk and keystoneauth1: a class for each kind of error that the library tells apart."""
    signing = types.SimpleNamespace(ClientException=type("ClientException", (Exception,), {}))
    signing.Unauthorized = type("Unauthorized", (signing.ClientException,), {})
    signing.MissingRequiredOptions = type("MissingRequiredOptions", (signing.ClientException,), {})
    errors = types.SimpleNamespace(SDKException=type("SDKException", (Exception,), {}))
    errors.ConfigException = type("ConfigException", (errors.SDKException,), {})
    asked = []

    class Connected:
        closed = False

        def close(self):
            self.closed = True

    def connect(**options):
        asked.append(options)
        return Connected()

    sdk = types.ModuleType("openstack")
    sdk.exceptions, sdk.connect = errors, connect
    auth = types.ModuleType("keystoneauth1")
    auth.exceptions = signing
    monkeypatch.setitem(sys.modules, "openstack", sdk)
    monkeypatch.setitem(sys.modules, "keystoneauth1", auth)
    return types.SimpleNamespace(signing=signing, errors=errors, asked=asked)


@pytest.mark.parametrize("cloud, options, named", [("dr", {"cloud": "dr"}, "The cloud 'dr'"), ("", {}, "The cloud of the OS_ variables")])
def test_refusals_name_the_cloud(failing, cloud, options, named):
    with pytest.raises(TargetError) as caught:
        with connection(cloud) as connected:
            raise failing.errors.SDKException("Quota exceeded\n for cores.")
    assert str(caught.value) == f"{named} refused: Quota exceeded for cores."
    assert failing.asked == [options] and connected.closed


def test_credentials_and_reach_are_told_apart(failing):
    for error in (failing.signing.Unauthorized("401"), failing.errors.ConfigException("no such cloud")):
        with pytest.raises(TargetError, match="credentials of the cloud 'dr' are not complete or not accepted"):
            with connection("dr"):
                raise error
    with pytest.raises(TargetError, match="The cloud 'dr' cannot be reached: no route"):
        with connection("dr"):
            raise failing.signing.ClientException("no route")
