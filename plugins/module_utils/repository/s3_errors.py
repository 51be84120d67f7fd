# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What errors of boto3 mean: something that may pass, or something for the operator to put right."""

from typing import Type

from ..errors import RecoveryError, RepositoryError
from .retry import TransientError

MISSING = ("NoSuchKey",)

_TRANSIENT = {
    "BadDigest", "BandwidthLimitExceeded", "ConditionalRequestConflict", "IncompleteBody", "InternalError", "OperationAborted",
    "RequestLimitExceeded", "RequestThrottled", "RequestTimeout", "ServiceUnavailable", "SlowDown", "Throttling", "ThrottlingException",
    "TooManyRequests", "XAmzContentSHA256Mismatch", "408", "409", "429",
}
_RIGHTS = {
    "open": "", "list": "s3:ListBucket on the bucket", "make": "s3:CreateBucket", "put": "s3:PutObject on its objects",
    "get": "s3:GetObject on its objects", "delete": "s3:DeleteObject on its objects",
    "head": "s3:GetObject on its objects and s3:ListBucket on the bucket (without which a missing object looks forbidden)",
}
_ADVICE = {
    "NoSuchBucket": "There is no such bucket. Check its name, the endpoint and the region.",
    "InvalidAccessKeyId": "The server does not know the access key. Check access_key and the endpoint.",
    "SignatureDoesNotMatch": "The secret key does not belong to the access key. Check secret_key.",
    "RequestTimeTooSkewed": "The clock of this host differs from the server's by more than it allows. Set the clock (chrony, NTP).",
    "RequestExpired": "The clock of this host differs from the server's by more than it allows. Set the clock (chrony, NTP).",
    "ExpiredToken": "The session token has expired. Get new credentials.",
    "InvalidToken": "The session token is not valid. Get new credentials.",
    "BucketAlreadyExists": "The name of the bucket is taken by somebody else. Choose another one.",
    "QuotaExceeded": "The quota is used up. Raise it or make room; what is stored so far stays valid and is not stored twice.",
    "XMinioStorageFull": "The server is full. Make room there; what is stored so far stays valid and is not stored twice.",
    "AuthorizationHeaderMalformed": "The region is wrong. Set region to that of the bucket.",
    "IllegalLocationConstraintException": "The region is wrong. Set region to that of the bucket.",
    "InvalidLocationConstraint": "The server does not know the region. Check region.",
    "PermanentRedirect": "The bucket is in another region. Set region, or the endpoint, to that of the bucket.",
    "InvalidObjectState": "The object was moved to an archive class. Bring it back from there first.",
    "InvalidBucketName": "The name of the bucket is not valid.",
    "MethodNotAllowed": "What answers there is no S3 server, or an object was removed in a bucket with versions. Check the endpoint.",
}


def is_code(error: Exception, *codes: str) -> bool:
    """Whether a server answered with one of these error codes (the HTTP status where an answer has no body)."""
    answer = getattr(error, "response", None)
    return isinstance(answer, dict) and answer.get("Error", {}).get("Code") in codes


def translate(error: Exception, label: str, action: str) -> Exception:
    """A TransientError or a RepositoryError for what boto3 raised in `action` (a key of the rights above)."""
    answer = getattr(error, "response", None)
    if isinstance(answer, dict):
        return _of_server(answer, label, action)
    return of_client(error, label)


def _of_server(answer: dict, label: str, action: str) -> Exception:
    code = str(answer.get("Error", {}).get("Code", ""))
    message = answer.get("Error", {}).get("Message", "")
    metadata = answer.get("ResponseMetadata", {})
    status = metadata.get("HTTPStatusCode", 0)
    if code in _TRANSIENT or (status >= 500 and status not in (501, 507)):
        return TransientError(f"the server answered {code} (HTTP {status})", answered=True, pause=pause(metadata.get("HTTPHeaders", {})))
    if code in _ADVICE:
        return RepositoryError(f"{label}: {_ADVICE[code]} ({code})")
    if code in ("AccessDenied", "403") or status in (401, 403):
        hint = "" if code != "403" else " This answer does not tell a missing right from a wrong key or clock."
        return RepositoryError(f"{label}: no permission. The key needs the right {_RIGHTS[action]}; check its policy and the "
                               f"bucket's.{hint} ({code})")
    return RepositoryError(f"{label}: the server refused to {action}: {code} {message} (HTTP {status}). Check endpoint, bucket and region.")


def of_client(error: Exception, label: str, kind: Type[RecoveryError] = RepositoryError) -> Exception:
    """A TransientError or an error of the type `kind` for what boto3 raised without an answer of the server."""
    name, text = type(error).__name__, str(error)
    if name in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"):
        return kind(f"{label}: this host has no credentials ({text}). Give access_key and secret_key, or let the environment, "
                    "~/.aws or the role of the machine provide them.")
    if name == "SSLError" and _is_about_trust(text):
        return kind(f"{label}: no trusted TLS connection ({text}). Give the certificate authority of the server as ca_bundle, "
                    "and check that the endpoint is the name in its certificate and speaks TLS.")
    if name in ("ParamValidationError", "InvalidRegionError", "ValueError"):
        return kind(f"{label}: boto3 does not accept this location: {text}")
    if name in ("SSLError", "IncompleteReadError", "ResponseParserError") or _is_of_network(error):
        return TransientError(text[:1].lower() + text[1:].rstrip("."))
    return error                 # a defect


def _is_about_trust(text: str) -> bool:
    text = text.upper().replace("_", " ")
    return any(word in text for word in ("CERTIFICATE", "HOSTNAME", "WRONG VERSION NUMBER", "UNKNOWN PROTOCOL", "UNKNOWN CA", "PEM LIB"))


def _is_of_network(error: Exception) -> bool:
    names = {kind.__name__ for kind in type(error).__mro__}
    return isinstance(error, OSError) or bool(names & {"HTTPClientError", "ConnectionError", "HTTPError", "HTTPException"})


def pause(headers: dict) -> float:
    """Retry-After in seconds, at most a minute; 0 where there is none."""
    text = headers.get("retry-after", "")
    return min(60.0, float(text)) if text.isdigit() else 0.0
