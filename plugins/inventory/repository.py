# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
name: repository
short_description: The machines of a repository as an inventory
version_added: 1.1.0
author:
  - the agnostic.recovery developers (@agnostic-recovery)
description:
  - Each machine that has an image in the repository becomes a host of the group C(dr_machines), by the name under which it was captured.
    So machines are recovered also when the source site and its inventory are gone.
  - A host has the variables C(dr_machine), C(dr_image) with the image's id, C(dr_image_info) with C(id), C(created), C(consistency), C(size),
    C(used), C(warnings) and C(recoverable), and C(dr_source) with what the image knows of the machine - C(hostname), C(architecture),
    C(firmware), C(boot_loader), C(os), C(disks) and C(nics).
  - How a machine is recovered, such as C(dr_target) and C(dr_checks), comes from what a drill has kept of it in the repository, as variables
    of a group of its own, C(dr_kept_...). C(host_vars), C(group_vars/dr_machines) and extra variables go before that.
  - No text of a repository is a template, whatever a source has written.
  - The file's name must end with C(repository.yml) or C(repository.yaml).
  - Where a machine's newest image is damaged the one before it is taken, with a warning.
extends_documentation_fragment:
  - agnostic.recovery.repository
  - agnostic.recovery.repository.capture_credential
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
options:
  plugin:
    description: Says that the file is for this plugin.
    type: str
    required: true
    choices: [agnostic.recovery.repository]
  image:
    description:
      - Which image of each machine - V(latest), or a time in UTC such as V(2026-11-22T01:00:00Z) for the last one that was captured at or
        before it. Machines that have no such image are left out.
    type: str
    default: latest
  machines:
    description: Patterns of the machines that are wanted, as of shells.
    type: list
    elements: str
    default: ['*']
  settings:
    description:
      - Take how each machine is recovered from the repository, where M(agnostic.recovery.repository_settings) or a drill has kept it. The
        capture credential does not give it.
      - With O(cache) the secrets of checks are in the cache too.
    type: bool
    default: true
notes:
  - Values may be templates, so that a passphrase can come from a lookup; O(key_file), a path relative to this file, may not.
  - The capture credential suffices to list machines; to recover them it does not.
requirements:
  - cryptography (Python library) on the controller, when the repository is encrypted
  - boto3 or openstacksdk on the controller, for S3 or Swift
"""

EXAMPLES = r"""
# dr.repository.yml
plugin: agnostic.recovery.repository
repository:
  type: s3
  bucket: recovery
passphrase: "{{ lookup('ansible.builtin.env', 'DR_PASSPHRASE') }}"
machines: ['shop-*']

# Groups by operating system, and one of machines that could not be recovered on AWS when they were captured.
keyed_groups:
  - key: dr_source.os.id
    prefix: os
groups:
  not_for_aws: dr_image_info.recoverable['aws-nitro'] | default('no') == 'no'
"""

from fnmatch import fnmatchcase
from hashlib import sha256

from ansible.errors import AnsibleParserError
from ansible.inventory.group import to_safe_group_name
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.utils.unsafe_proxy import wrap_var

from ..module_utils.errors import RecoveryError
from ..module_utils.job.inventory import read_hosts
from ..module_utils.job.options import CAPTURE_KEY_SPEC, REPOSITORY_SPEC

GROUP = "dr_machines"
KEPT = "dr_kept"
OPTIONS = tuple(REPOSITORY_SPEC) + tuple(CAPTURE_KEY_SPEC)


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):

    NAME = "agnostic.recovery.repository"

    def verify_file(self, path):
        return super().verify_file(path) and path.endswith(("repository.yml", "repository.yaml"))

    def parse(self, inventory, loader, path, cache=True):
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        found = self._read(self.get_cache_key(path), cache)
        inventory.add_group(GROUP)
        strict = self.get_option("strict")
        for name, variables in sorted(found["hosts"].items()):
            if not any(fnmatchcase(name, pattern) for pattern in self.get_option("machines")):
                continue
            inventory.add_host(name, group=GROUP)
            variables = wrap_var(variables)      # a source wrote its texts: none may become a template
            for key, value in variables.items():
                inventory.set_variable(name, key, value)
            kept = wrap_var(found["kept"].get(name)) if self.get_option("settings") else None
            if kept:
                self._add_kept(name, kept)
                variables = dict(kept, **variables)
            self._set_composite_vars(self.get_option("compose"), variables, name, strict=strict)
            self._add_host_to_composed_groups(self.get_option("groups"), variables, name, strict=strict)
            self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, name, strict=strict)

    def _add_kept(self, name, variables):
        """Give a host the variables that were kept of it, in a group of its own: so all that stands beside this file goes before them."""
        group = "{0}_{1}".format(KEPT, to_safe_group_name("{0}_{1}".format(name, sha256(name.encode("utf-8")).hexdigest()[:6])))
        self.inventory.add_group(group)
        self.inventory.add_host(name, group=group)
        self.inventory.set_variable(group, "ansible_group_priority", 0)
        for key, value in variables.items():
            self.inventory.set_variable(group, key, value)

    def _read(self, key, cache):
        wanted = self.get_option("cache")
        if wanted and cache and key in self._cache:
            return self._cache[key]
        options = {name: self.templar.template(self.get_option(name)) for name in OPTIONS}
        try:
            hosts, kept, messages = read_hosts(options, self.templar.template(self.get_option("image")))
        except RecoveryError as error:
            raise AnsibleParserError(str(error)) from error
        for message in messages:
            self.display.warning(message)
        found = {"hosts": hosts, "kept": kept}
        if wanted:
            self._cache[key] = found
        return found
