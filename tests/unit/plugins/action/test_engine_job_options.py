# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that action plugins check are those that the modules document."""

import importlib

import pytest

yaml = pytest.importorskip("yaml")
pytest.importorskip("ansible")

BASE = "ansible_collections.agnostic.recovery.plugins."
JOBS = ("ebs_snapshot", "image_capture", "image_export", "image_import", "image_prune", "image_replicate", "image_restore", "image_verify")


def documented(name):
    """The options of a module with those of its doc fragments."""
    own = yaml.safe_load(importlib.import_module(BASE + "modules." + name).DOCUMENTATION)
    options = {}
    for reference in own["extends_documentation_fragment"]:
        fragment, _dot, section = reference[len("agnostic.recovery."):].partition(".")
        holder = importlib.import_module(BASE + "doc_fragments." + fragment).ModuleDocFragment
        options.update(yaml.safe_load(getattr(holder, (section or "documentation").upper()))["options"])
    options.update(own["options"])
    if "target" in options and "with the same suboptions" in options["target"]["description"]:
        options["target"]["suboptions"] = options["repository"]["suboptions"]
    return options


def assert_same(options, spec, place=""):
    assert sorted(options) == sorted(spec), place
    for name, option in options.items():
        checked = spec[name]
        where = place + "/" + name
        assert option["type"] == checked.get("type", "str"), where
        assert bool(option.get("required")) == bool(checked.get("required")), where
        assert option.get("default") == checked.get("default"), where
        assert option.get("choices") == checked.get("choices"), where
        assert option.get("elements") == checked.get("elements"), where
        if "suboptions" in option or "options" in checked:
            assert_same(option["suboptions"], checked["options"], where)


@pytest.mark.parametrize("name", JOBS)
def test_options_are_documented_as_they_are_checked(name):
    job = importlib.import_module(BASE + "plugin_utils.engine_job")
    action = importlib.import_module(BASE + "action." + name).ActionModule
    common = importlib.import_module(BASE + "module_utils.job.options")
    spec = {}
    for part in (action.place, action.keys, action.arguments, common.PRIORITY_SPEC, job.JOB_SPEC):
        spec.update(part)
    assert_same(documented(name), spec)


def marked(spec):
    """Names of the options that are not to be logged, those of parts included."""
    for name, option in spec.items():
        if option.get("no_log"):
            yield name
        yield from marked(option.get("options", {}))


def test_secrets_are_marked():
    options = importlib.import_module(BASE + "module_utils.job.options")
    secrets = importlib.import_module(BASE + "module_utils.job.secrets")
    assert set(marked(options.CAPTURE_KEY_SPEC)) | set(marked(options.REPOSITORY_SPEC)) | set(marked(options.AWS_SPEC)) == set(secrets.SECRET_OPTIONS)


def test_paths_of_hosts_are_left_as_they_are():
    job = importlib.import_module(BASE + "plugin_utils.engine_job")
    options = importlib.import_module(BASE + "module_utils.job.options")
    changed = job.for_controller({"repository": options.REPOSITORY_SPEC["repository"], "disks": options.DISKS_SPEC})
    assert changed["repository"]["options"]["path"]["type"] == "str"
    assert changed["disks"]["options"]["path"]["type"] == "str"
    assert options.DISKS_SPEC["options"]["path"]["type"] == "path"
