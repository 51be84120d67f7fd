# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an EC2 instance has written to its serial console. Amazon EC2 API reference: GetConsoleOutput."""

from .aws import AwsPlace, AwsService, Refused


def read_console(place: AwsPlace, instance: str) -> str:
    """The last 64 KiB, "" where AWS has nothing yet. Raises TargetError."""
    ec2 = AwsService(place, "ec2")
    what = f"reading the console of {instance}"
    try:
        answer = ec2.call("get_console_output", what, InstanceId=instance, Latest=True)
    except Refused as error:
        if error.code != "UnsupportedOperation":         # instances of the Nitro System only know the latest
            raise
        answer = ec2.call("get_console_output", what, InstanceId=instance)
    return answer.get("Output", "")
