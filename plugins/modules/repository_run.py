#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: repository_run
short_description: Journal, evidence and report of a run, kept in a repository
version_added: 1.1.0
author:
  - the agnostic.recovery developers (@agnostic-recovery)
description:
  - Keeps what a run has left on its worker, C(journal.jsonl), C(evidence.json) and C(report.html), in the repository, and gets it back from there.
    Workers are gone after a run, and a controller may be a container that is too.
  - It is sealed under a key that sources do not have. The capture credential neither opens nor makes it.
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.repository
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  state:
    description:
      - V(kept) stores the files of O(run_dir).
      - V(fetched) writes those of O(run_id) into O(dest), readable by their owner alone; with O(plan) those of the newest failover of that plan into a
        folder of O(dest) that has its id, and nothing where that is there already or the repository keeps none.
    type: str
    choices: [kept, fetched]
    default: kept
  run_dir:
    description: Folder of the run on the host. Its name is the run's id.
    type: path
  run_id:
    description: Id of the run.
    type: str
  plan:
    description: Id of a plan.
    type: str
  dest:
    description: Folder on the host, which is made.
    type: path
requirements:
  - cryptography (Python library), when the repository is encrypted
seealso:
  - module: agnostic.recovery.run_report
"""

EXAMPLES = r"""
- name: Keep what the drill has proven
  agnostic.recovery.repository_run:
    repository:
      path: /srv/recovery
    passphrase: "{{ dr_passphrase }}"
    run_dir: /var/lib/agnostic.recovery/runs/drill-20261201T020000Z-1f2e3d4c

- name: Look at it a year later
  agnostic.recovery.repository_run:
    repository:
      path: /srv/recovery
    passphrase: "{{ dr_passphrase }}"
    state: fetched
    run_id: drill-20261201T020000Z-1f2e3d4c
    dest: /tmp/drill
"""

RETURN = r"""
runs:
  description: Ids of all runs that the repository keeps; with O(plan) of the one that was found.
  returned: success
  type: list
  elements: str
files:
  description: Paths of the files that were fetched.
  returned: when O(state=fetched)
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.job import kept_runs
from ..module_utils.job.options import KEY_SPEC, REPOSITORY_SPEC
from ..module_utils.job.privatefile import ensure_private_file


def main():
    module = AnsibleModule(
        argument_spec=dict(
            REPOSITORY_SPEC,
            state={"type": "str", "choices": ["kept", "fetched"], "default": "kept"},
            run_dir={"type": "path"}, run_id={"type": "str"}, plan={"type": "str"}, dest={"type": "path"}, **KEY_SPEC),
        mutually_exclusive=[sorted(KEY_SPEC), ["run_id", "plan"]],
        required_if=[("state", "kept", ["run_dir"]), ("state", "fetched", ["dest"]), ("state", "fetched", ["run_id", "plan"], True)],
        supports_check_mode=True,
    )
    try:
        if module.params["state"] == "kept":
            changed, runs = kept_runs.keep(module.params, module.check_mode)
            module.exit_json(changed=changed, runs=runs)
        dest = module.params["dest"]
        if module.params["plan"]:
            run_id, files = kept_runs.fetch_failover(module.params)
            runs, dest = [run_id] if run_id else [], os.path.join(dest, run_id)
            if run_id and os.path.exists(dest):
                module.exit_json(changed=False, runs=runs, files=[])         # what is there may have gone on since
        else:
            files, runs = kept_runs.fetch(module.params)
        if files and not module.check_mode:
            os.makedirs(dest, mode=0o700, exist_ok=True)
        paths = {os.path.join(dest, name): text.encode("utf-8") for name, text in sorted(files.items())}
        changed = [ensure_private_file(path, data, module.check_mode) for path, data in paths.items()]
    except (RecoveryError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=any(changed), runs=runs, files=list(paths))


if __name__ == "__main__":
    main()
