# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What makes two calls the same job, and what two jobs may not use at the same time.

A call for a job that runs already joins it. A call that is not the same job but needs something that a running job uses
(another capture of the same machine, another restore onto the same disk) is refused.
"""

import hashlib
import json
import os
import re

from ..repository.open import repository_name


def with_host_paths(spec):
    """The specification with absolute paths of this host: "~" is the home of the user that runs the job."""
    changed = _host_path(_host_path(_host_path(spec, "key_file"), "path"), "ca_bundle")
    for place in ("repository", "target"):
        if spec.get(place):
            changed[place] = _host_path(_host_path(spec[place], "path"), "ca_bundle")
    if spec.get("disks"):
        changed["disks"] = [_host_path(disk, "path") for disk in spec["disks"]]
    return changed


def _host_path(options, name):
    options = dict(options)
    if options.get(name):
        options[name] = os.path.abspath(os.path.expanduser(options[name]))
    return options


def job_id(spec):
    """The id of the job that a specification asks for: kind, machine name and a hash of kind, machine, repository, image, disks and path.

    Keys, pace and other manners of doing it are no part of it.
    """
    identity = {
        "kind": spec["kind"],
        "check": bool(spec.get("check")),
        "machine": spec.get("machine") or "",
        "repository": repository_name(spec["repository"]) if spec.get("repository") else "",
        "image": spec.get("image") or "",
        "disks": sorted([disk["name"], disk["path"]] for disk in spec.get("disks") or ()),
    }
    if spec.get("exclude"):
        identity["exclude"] = sorted(spec["exclude"])
    if spec["kind"] == "verify":
        identity["images"] = sorted(spec.get("images") or ())
        identity["level"] = [spec.get("level") or "", spec.get("parts") or 0, spec.get("part") or 0]
    if spec["kind"] == "prune":
        identity["what"] = [sorted(spec.get("images") or ()), sorted((spec.get("keep") or {}).items()), sorted(spec.get("protect") or ())]
    if spec["kind"] == "replicate":
        identity["target"] = repository_name(spec["target"])
        identity["images"] = sorted(spec.get("images") or ())
    if spec["kind"] == "snapshot":
        identity["snapshot"] = [spec["state"], _snapshot_name(spec)]
    if spec.get("path"):
        identity["path"] = spec["path"]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode("utf-8")).hexdigest()[:16]
    machine = re.sub("[^A-Za-z0-9]+", "-", identity["machine"]).strip("-")[:32]
    return "-".join(word for word in (spec["kind"], machine, digest) if word)


def resources(spec):
    """What the job must have for itself on this host, as lines of text."""
    if spec.get("check"):
        return []
    if spec["kind"] == "capture":
        return ["capture of machine '{0}' into {1}".format(spec["machine"], repository_name(spec["repository"]))]
    if spec["kind"] == "restore":
        return ["write to {0}".format(os.path.realpath(disk["path"])) for disk in spec["disks"]]
    if spec["kind"] == "prune":
        return ["prune of {0}".format(repository_name(spec["repository"]))]
    if spec["kind"] == "replicate":
        return ["replication into {0}".format(repository_name(spec["target"]))]
    if spec["kind"] == "export":
        return ["write to {0}".format(os.path.realpath(spec["path"]))]
    if spec["kind"] == "snapshot":
        return ["snapshot {0}".format(_snapshot_name(spec))]
    return []


def _snapshot_name(spec):
    return "{0} in {1}".format(spec["name"], spec.get("endpoint_url") or spec.get("region") or "the default region")


def may_be_handed_out(spec):
    """Whether the result of an earlier run still answers this call: not what was checked then, nor disks or files that are gone since."""
    if spec.get("check") or spec["kind"] == "snapshot":      # asking AWS tells what is there now
        return False
    if spec["kind"] == "export":
        return os.path.exists(spec["path"])
    return spec["kind"] != "restore" or all(os.path.exists(disk["path"]) for disk in spec["disks"])
