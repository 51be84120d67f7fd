# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signing in to an OpenStack and asking it, for what the modules of openstack.cloud do not do. Needs openstacksdk."""

import contextlib

from ..errors import TargetError


@contextlib.contextmanager
def connection(cloud: str = ""):
    """A signed-in openstack.connection.Connection to an entry of clouds.yaml; "" is what the OS_ variables of the environment say.

    What the cloud, or signing in to it, refuses within the context is raised as TargetError.
    """
    try:
        import openstack
        from keystoneauth1 import exceptions as signing
        from openstack import exceptions
    except ImportError as error:
        raise TargetError(f"openstacksdk is needed on the host that talks to OpenStack: {error}.") from error
    name = f"the cloud {cloud!r}" if cloud else "the cloud of the OS_ variables"
    try:
        with contextlib.closing(openstack.connect(**({"cloud": cloud} if cloud else {}))) as connected:
            yield connected
    except (signing.Unauthorized, signing.MissingRequiredOptions, exceptions.ConfigException) as error:
        raise TargetError(f"The credentials of {name} are not complete or not accepted: {_one_line(error)}.") from error
    except signing.ClientException as error:
        raise TargetError(f"{name[0].upper()}{name[1:]} cannot be reached: {_one_line(error)}.") from error
    except exceptions.SDKException as error:
        raise TargetError(f"{name[0].upper()}{name[1:]} refused: {_one_line(error)}.") from error


def _one_line(error):
    return " ".join(str(error).split()).rstrip(".")
