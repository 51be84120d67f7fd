# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS through boto3: how a service is reached, what its errors mean, and calls that are repeated while their failure may pass."""

import sys
from typing import Any, Callable, NamedTuple

from ..errors import RecoveryError, TargetError
from ..repository.retry import DEFAULT_SECONDS, Retrier, TransientError
from ..repository.s3_errors import of_client, pause

# EC2 API reference, "Error codes"; EBS API reference, "Common errors" and those of each action.
_TRANSIENT = {
    "EC2ThrottledException", "InternalError", "InternalFailure", "InternalServerException", "RequestLimitExceeded", "RequestThrottled",
    "RequestThrottledException", "RequestTimeout", "RequestTimeoutException", "ServiceUnavailable", "SlowDown", "Throttling",
    "ThrottlingException", "TooManyRequestsException", "Unavailable",
}
# Reasons of the EBS API's ValidationException: the try before, whose answer was lost, is still being written; or it took too long.
_TRANSIENT_REASONS = {"CONFLICTING_BLOCK_UPDATE", "WRITE_REQUEST_TIMEOUT"}
_NO_KEY = "AWS does not accept the access key. Check access_key, secret_key and session_token, and that the region is enabled."
_OLD_TOKEN = "The session token has expired. Get new credentials."
_CLOCK = "The clock of this host differs from that of AWS by more than it allows. Set the clock (chrony, NTP)."
_ADVICE = {
    "AuthFailure": _NO_KEY, "InvalidClientTokenId": _NO_KEY, "UnrecognizedClientException": _NO_KEY, "OptInRequired": _NO_KEY,
    "SignatureDoesNotMatch": "The secret key does not belong to the access key. Check secret_key.",
    "InvalidSignatureException": "The secret key does not belong to the access key, or the clock is wrong. Check both.",
    "ExpiredToken": _OLD_TOKEN, "ExpiredTokenException": _OLD_TOKEN, "RequestExpired": _OLD_TOKEN, "RequestTimeTooSkewed": _CLOCK,
    "ConcurrentLimitExceededException": "As many snapshots are pending as the account may have. Wait, remove some, or have the quota raised.",
    "ServiceQuotaExceededException": "A quota of the account is used up. Have it raised, or make room.",
    "SnapshotLimitExceeded": "The account has as many snapshots as it may have. Remove some, or have the quota raised.",
    "InvalidSnapshot.InUse": "An image uses the snapshot. Deregister the image first.",
}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"}


class AwsPlace(NamedTuple):
    """Which region, and how to reach it. Empty texts: boto3's defaults (environment, ~/.aws, the role of the machine)."""
    region: str = ""
    endpoint_url: str = ""               # "": that of the region
    access_key: str = ""
    secret_key: str = ""
    session_token: str = ""
    ca_bundle: str = ""
    connect_timeout: float = 10.0        # seconds
    read_timeout: float = 60.0
    retry_seconds: float = DEFAULT_SECONDS

    @property
    def label(self) -> str:
        return "AWS" + (f" {self.region}" if self.region else "") + (f" at {self.endpoint_url}" if self.endpoint_url else "")


class Refused(TargetError):
    """AWS answered with an error that will not pass; `code` is its name for it."""

    def __init__(self, message: str, code: str):
        super().__init__(message)
        self.code = code


class AwsService:
    """The calls of one service ("ec2", "ebs"), by several threads at once."""

    def __init__(self, place: AwsPlace, service: str, connections: int = 4):
        """Raises TargetError: there is no boto3, no region, or a location that boto3 does not accept."""
        self.label = place.label
        self._client = _sdk_client(place, service, connections)
        self._retrier = Retrier(self.label, place.retry_seconds, kind=TargetError)
        self._service = service

    def call(self, action: str, what: str, transient=(), take: Callable[[dict], Any] = lambda answer: answer, **arguments):
        """The answer to `action` ("put_snapshot_block"), which `what` names in messages ("writing block 7"), or what `take` makes of it.

        `transient`: codes of errors that pass here. `take` may raise TransientError. Raises Refused, TargetError.
        """
        def request():
            try:
                return take(getattr(self._client, action)(**arguments))
            except TransientError:
                raise
            except Exception as error:       # pylint: disable=broad-except
                raise self._translate(error, action, what, transient)
        return self._retrier.call(request, what)

    def _translate(self, error: Exception, action: str, what: str, transient) -> Exception:
        answer = getattr(error, "response", None)
        if not isinstance(answer, dict):
            return of_client(error, self.label, TargetError)
        code = str(answer.get("Error", {}).get("Code", ""))
        message = str(answer.get("Error", {}).get("Message") or answer.get("Message") or "")
        metadata = answer.get("ResponseMetadata", {})
        status = metadata.get("HTTPStatusCode", 0)
        passing = code in _TRANSIENT or code in transient or answer.get("Reason") in _TRANSIENT_REASONS
        if passing or (status >= 500 and status != 501):
            return TransientError(f"the service answered {code} (HTTP {status})", answered=True, pause=pause(metadata.get("HTTPHeaders", {})))
        if code in _ADVICE:
            return Refused(f"{self.label}: {what}: {_ADVICE[code]} ({code})", code)
        if code in _DENIED:
            right = "".join(word.capitalize() for word in action.split("_"))
            return Refused(f"{self.label}: {what}: no permission. The credentials need the right {self._service}:{right}, and those to the "
                           f"KMS key where the snapshot is encrypted; docs/aws.md has a policy. ({code})", code)
        return Refused(f"{self.label}: {what} was refused: {code} {message} (HTTP {status}).", code)


def _sdk_client(place: AwsPlace, service: str, connections: int):
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise TargetError(f"The target AWS needs boto3 for {sys.executable} on this host: install python3-boto3, or boto3 by pip "
                          f"({error}).") from error
    # Repeating is the Retrier's part: botocore would do it inside of one call, unseen.
    config = Config(connect_timeout=place.connect_timeout, read_timeout=place.read_timeout, max_pool_connections=connections,
                    retries={"max_attempts": 0})
    try:
        session = boto3.session.Session(
            aws_access_key_id=place.access_key or None, aws_secret_access_key=place.secret_key or None,
            aws_session_token=place.session_token or None, region_name=place.region or None)
        if not session.region_name:
            raise TargetError("No region of AWS is given. Set region.")
        return session.client(service, endpoint_url=place.endpoint_url or None, verify=place.ca_bundle or None, config=config)
    except RecoveryError:
        raise
    except Exception as error:           # pylint: disable=broad-except
        raise of_client(error, place.label, TargetError)
