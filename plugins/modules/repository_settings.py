#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: repository_settings
short_description: How machines are recovered, kept in a repository
version_added: 1.1.0
author:
  - the agnostic.recovery developers (@agnostic-recovery)
description:
  - Keeps the variables that say how a machine is recovered in the repository, so that a failover needs the repository and its key alone.
    The inventory plugin P(agnostic.recovery.repository#inventory) gives them back.
  - Variables that are kept are C(dr_aws), C(dr_checks), C(dr_drivers), C(dr_fixups), C(dr_guest), C(dr_libvirt), C(dr_luks_keys),
    C(dr_network), C(dr_openstack), C(dr_provider), C(dr_required), C(dr_rpo), C(dr_size), C(dr_target) and C(dr_wave), with the secrets in them.
  - They are sealed under a key that sources do not have. The capture credential neither opens nor makes them.
  - An unencrypted repository keeps none, as whoever can write to it could then say what runs on workers.
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.repository
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  machines:
    description: The machines.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the machine in the repository. It need not have an image.
        type: str
        required: true
      variables:
        description:
          - Its variables. They take the place of all that were kept of it before.
          - Others than those named above are left out.
        type: dict
        default: {}
  state:
    description: V(absent) removes what is kept of the machines.
    type: str
    choices: [present, absent]
    default: present
requirements:
  - cryptography (Python library)
seealso:
  - module: agnostic.recovery.run_plan
"""

EXAMPLES = r"""
- name: Keep how the shop is recovered
  agnostic.recovery.repository_settings:
    repository:
      path: /srv/recovery
    passphrase: "{{ dr_passphrase }}"
    machines:
      - name: shop
        variables:
          dr_wave: 2
          dr_target: kvm
          dr_checks: [{kind: http, contains: [Order]}]
"""

RETURN = r"""
machines:
  description: Names of the machines whose settings were not as they are now.
  returned: success
  type: list
  elements: str
  sample: [shop]
warnings:
  description: Settings in the repository that cannot be used, and why.
  returned: when there are such
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.job.options import KEY_SPEC, REPOSITORY_SPEC
from ..module_utils.job.settings import ensure_settings
from ..module_utils.runbook.settings import secrets_in


def main():
    machines = {
        "type": "list", "elements": "dict", "required": True,
        "options": {"name": {"type": "str", "required": True}, "variables": {"type": "dict", "default": {}}},
    }
    module = AnsibleModule(
        argument_spec=dict(
            REPOSITORY_SPEC, machines=machines, state={"type": "str", "choices": ["present", "absent"], "default": "present"}, **KEY_SPEC),
        mutually_exclusive=[sorted(KEY_SPEC)],
        supports_check_mode=True,
    )
    try:
        changes, messages = ensure_settings(module.params, module.check_mode)
    except RecoveryError as error:
        module.no_log_values.update(secrets_in(module.params["machines"]))
        module.fail_json(msg=str(error), error_type=type(error).__name__)
    # Nothing that is returned shows a password, neither one that was given nor one that was kept before.
    module.no_log_values.update(secrets_in(module.params["machines"]))
    module.no_log_values.update(secrets_in([list(change) for change in changes.values()]))
    for message in messages:
        module.warn(message)
    module.exit_json(changed=bool(changes), machines=sorted(changes), diff=[
        {"before_header": name, "after_header": name, "before": before or "", "after": after or ""}
        for name, (before, after) in sorted(changes.items())])


if __name__ == "__main__":
    main()
