# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""S3 through boto3: any server that speaks it (AWS, Ceph, MinIO, Ncloud and others).

Objects are put in one request with Content-MD5, which every server checks; SHA-256 headers are unknown to older ones. Repeating
is not left to botocore: `retry` does it for all stores, with the reading of the body included.
"""

import base64
import hashlib
import os
import re
import sys
from typing import NamedTuple, Optional

from ..errors import RepositoryError
from .remote import Body, NotOffered, Page, RemoteClient, check_announced
from .retry import TransientError
from .store import Entry
from .s3_errors import MISSING, is_code, translate

_CONNECTIONS = 64
_PAGE_KEYS = 1000                     # keys in one answer, the most that S3 gives
_PART = re.compile(r"bytes \d+-\d+/(\d+)\Z")


class S3Place(NamedTuple):
    """Where a bucket is and how to reach it. Empty texts: boto3's defaults (environment, ~/.aws, the role of the machine)."""
    bucket: str
    endpoint_url: str = ""
    region: str = ""
    addressing_style: str = "auto"       # auto, path, virtual
    ca_bundle: str = ""
    access_key: str = ""
    secret_key: str = ""
    session_token: str = ""
    create: bool = False                 # make the bucket when there is none
    connect_timeout: float = 10.0        # seconds
    read_timeout: float = 60.0


class S3Client(RemoteClient):
    """Requests to one bucket."""

    def __init__(self, place: S3Place, label: str):
        self.label = label
        self._place = place
        self._bucket = place.bucket
        if place.ca_bundle and not os.path.isfile(place.ca_bundle):
            raise RepositoryError(f"There is no file {place.ca_bundle} with the certificate authority of {label}.")
        # boto3 has no parameter IfNoneMatch before 1.35: a client of its own adds the header.
        self._plain, self._guarded = _sdk_clients(place, label)
        self._guarded.meta.events.register("before-call.s3.PutObject", _add_if_none_match)

    def make(self) -> None:
        if not self._place.create:
            raise RepositoryError(f"There is no bucket {self._bucket} ({self.label}). Make it, or let it be made with create: true.")
        arguments = {}
        if not self._place.endpoint_url and self._plain.meta.region_name != "us-east-1":
            arguments["CreateBucketConfiguration"] = {"LocationConstraint": self._plain.meta.region_name}
        try:
            self._plain.create_bucket(Bucket=self._bucket, **arguments)
        except Exception as error:       # pylint: disable=broad-except
            if not is_code(error, "BucketAlreadyOwnedByYou"):        # by a try before, whose answer was lost
                raise translate(error, self.label, "make")

    def put(self, key: str, data) -> None:
        try:
            self._plain.put_object(Bucket=self._bucket, Key=key, Body=data, **_checksum(data))
        except Exception as error:       # pylint: disable=broad-except
            raise translate(error, self.label, "put")

    def put_new(self, key: str, data) -> bool:
        try:
            self._guarded.put_object(Bucket=self._bucket, Key=key, Body=data, **_checksum(data))
        except Exception as error:       # pylint: disable=broad-except
            if is_code(error, "PreconditionFailed", "412"):
                return False
            if is_code(error, "NotImplemented", "501"):
                raise NotOffered()
            raise translate(error, self.label, "put")
        return True

    def get(self, key: str, offset: int, length: Optional[int]) -> Optional[Body]:
        arguments = {}
        if offset or length is not None:
            arguments["Range"] = f"bytes={offset}-" + ("" if length is None else str(offset + length - 1))
        try:
            answer = self._plain.get_object(Bucket=self._bucket, Key=key, **arguments)
        except Exception as error:       # pylint: disable=broad-except
            if is_code(error, *MISSING):
                return None
            if is_code(error, "InvalidRange", "416"):                # there is nothing from `offset` on
                return Body(b"", 0)
            raise translate(error, self.label, "get")
        announced = answer["ContentLength"]
        check_announced(announced, key, self.label)
        try:
            data = answer["Body"].read()
        except Exception as error:       # pylint: disable=broad-except
            raise translate(error, self.label, "get")
        if len(data) != announced:
            raise TransientError(f"only {len(data)} of {announced} bytes arrived", answered=True)
        part = _PART.match(answer.get("ContentRange", ""))
        if part:
            return Body(data, int(part.group(1)))
        return Body(data[offset:][:length], announced)               # some servers give the whole of a small object

    def size(self, key: str) -> Optional[int]:
        try:
            return self._plain.head_object(Bucket=self._bucket, Key=key)["ContentLength"]
        except Exception as error:       # pylint: disable=broad-except
            if is_code(error, "404", *MISSING):
                return None
            raise translate(error, self.label, "head")

    def page(self, prefix: str, mark: Optional[str]) -> Optional[Page]:
        arguments = {"ContinuationToken": mark} if mark else {}
        try:
            answer = self._plain.list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=_PAGE_KEYS, **arguments)
        except Exception as error:       # pylint: disable=broad-except
            if is_code(error, "NoSuchBucket"):
                return None
            raise translate(error, self.label, "list")
        if "IsTruncated" not in answer:      # an answer whose body got lost is no empty list
            raise TransientError("the answer to a list request was empty", answered=True)
        mark = answer["NextContinuationToken"] if answer["IsTruncated"] else None
        return Page([Entry(entry["Key"], entry["Size"], entry["LastModified"].timestamp()) for entry in answer.get("Contents", ())], mark)

    def delete(self, key: str) -> None:
        try:
            self._plain.delete_object(Bucket=self._bucket, Key=key)
        except Exception as error:       # pylint: disable=broad-except
            if not is_code(error, *MISSING):
                raise translate(error, self.label, "delete")

    def close(self) -> None:
        for client in (self._plain, self._guarded):
            if hasattr(client, "close"):         # boto3 1.26 and newer
                client.close()


def _sdk_clients(place: S3Place, label: str) -> list:
    """Two equal clients of boto3."""
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise RepositoryError(f"An S3 repository needs boto3 for {sys.executable} on this host: install python3-boto3, or boto3 by pip "
                              f"({error}).") from error
    options = {
        "connect_timeout": place.connect_timeout, "read_timeout": place.read_timeout, "max_pool_connections": _CONNECTIONS,
        "retries": {"max_attempts": 0},
        # A server that is named by its address or in no DNS zone of its own has no names for buckets.
        "s3": {"addressing_style": "path" if place.addressing_style == "auto" and place.endpoint_url else place.addressing_style},
    }
    try:
        # From 1.36 on boto3 adds CRC trailers on its own, which Ceph and others do not understand.
        config = Config(request_checksum_calculation="when_required", response_checksum_validation="when_required", **options)
    except TypeError:
        config = Config(**options)
    try:
        session = boto3.session.Session(
            aws_access_key_id=place.access_key or None, aws_secret_access_key=place.secret_key or None,
            aws_session_token=place.session_token or None, region_name=place.region or None)
        return [session.client("s3", endpoint_url=place.endpoint_url or None, verify=place.ca_bundle or None, config=config,
                               region_name=session.region_name or "us-east-1") for _unused in range(2)]
    except Exception as error:           # pylint: disable=broad-except
        raise translate(error, label, "open")


def _add_if_none_match(params, **_kwargs):
    params["headers"]["If-None-Match"] = "*"


def _checksum(data) -> dict:
    """Content-MD5 as an argument. Where Python has no MD5 (FIPS), botocore signs the SHA-256 of the body instead."""
    try:
        return {"ContentMD5": base64.b64encode(hashlib.md5(data).digest()).decode("ascii")}
    except ValueError:
        return {}
