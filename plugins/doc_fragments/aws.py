# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How AWS is reached."""


class ModuleDocFragment:

    DOCUMENTATION = r"""
options:
  region:
    description: Region of AWS. By default what the environment or the configuration files of the host say.
    type: str
  endpoint_url:
    description: URL of the service, where it is not that of the region; an interface endpoint of a VPC, or an emulator.
    type: str
  access_key:
    description:
      - Access key. By default the environment of the host, its C(~/.aws), or its instance profile gives the credentials.
    type: str
  secret_key:
    description: Secret key that belongs to O(access_key).
    type: str
  session_token:
    description: Token of temporary credentials.
    type: str
  ca_bundle:
    description: File on the host with the certificate authorities of O(endpoint_url).
    type: path
  connect_timeout:
    description: How long a connection may take, in seconds.
    type: float
    default: 10
  read_timeout:
    description: How long an answer may take, in seconds.
    type: float
    default: 60
  retry_seconds:
    description: How long one request is repeated while its failure may pass, in seconds.
    type: float
    default: 300
requirements:
  - boto3 on the host
"""
