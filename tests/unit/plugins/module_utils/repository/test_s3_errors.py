# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What errors of boto3 mean. The errors are made here as boto3 raises them, so that no boto3 is needed."""

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import RepositoryError
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.retry import TransientError
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.s3_errors import is_code, translate


class ClientError(Exception):
    def __init__(self, code, status, headers=None):
        super().__init__(code)
        self.response = {"Error": {"Code": code, "Message": "as the server says"},
                         "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers or {}}}


class BotoCoreError(Exception):
    pass


class HTTPClientError(BotoCoreError):
    pass


class ReadTimeoutError(HTTPClientError):
    pass


class ConnectionError(BotoCoreError):       # pylint: disable=redefined-builtin  # the name that botocore gave it
    pass


class SSLError(ConnectionError):
    pass


class NoCredentialsError(BotoCoreError):
    pass


@pytest.mark.parametrize("error", [
    ClientError("SlowDown", 503), ClientError("InternalError", 500), ClientError("503", 503), ClientError("RequestTimeout", 400),
    ClientError("BadDigest", 400), ClientError("429", 429), ClientError("ConditionalRequestConflict", 409),
    ReadTimeoutError("Read timeout."), ConnectionError("gone"), SSLError("EOF occurred in violation of protocol"),
    ConnectionResetError("reset"),
])
def test_what_may_pass(error):
    assert isinstance(translate(error, "s3:bucket", "put"), TransientError)


@pytest.mark.parametrize("error, action, words", [
    (ClientError("NoSuchBucket", 404), "put", "There is no such bucket"),
    (ClientError("InvalidAccessKeyId", 403), "get", "does not know the access key"),
    (ClientError("SignatureDoesNotMatch", 403), "get", "Check secret_key"),
    (ClientError("RequestTimeTooSkewed", 403), "get", "Set the clock"),
    (ClientError("AccessDenied", 403), "delete", "s3:DeleteObject"),
    (ClientError("403", 403), "head", "does not tell a missing right from a wrong key"),
    (ClientError("QuotaExceeded", 403), "put", "stays valid"),
    (ClientError("PermanentRedirect", 301), "get", "Set region"),
    (ClientError("Strange", 418), "get", "Strange as the server says (HTTP 418)"),
    (NoCredentialsError("Unable to locate credentials"), "get", "access_key"),
    (SSLError("certificate verify failed: self signed certificate"), "get", "ca_bundle"),
    (ValueError("Invalid endpoint: x"), "open", "Invalid endpoint: x"),
])
def test_what_the_operator_must_put_right(error, action, words):
    found = translate(error, "s3:bucket", action)
    assert isinstance(found, RepositoryError)
    assert str(found).startswith("s3:bucket: ") and words in str(found)


def test_a_defect_stays_one():
    error = KeyError("x")
    assert translate(error, "s3:bucket", "get") is error


def test_the_servers_wish_for_a_pause():
    assert translate(ClientError("SlowDown", 503, {"retry-after": "7"}), "s3:bucket", "put").pause == 7
    assert translate(ClientError("SlowDown", 503, {"retry-after": "86400"}), "s3:bucket", "put").pause == 60
    assert translate(ClientError("SlowDown", 503, {"retry-after": "Wed, 21 Oct"}), "s3:bucket", "put").pause == 0


def test_codes():
    assert is_code(ClientError("NoSuchKey", 404), "NoSuchKey", "404")
    assert not is_code(ClientError("NoSuchBucket", 404), "NoSuchKey", "404")
    assert not is_code(OSError("x"), "NoSuchKey")
