#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: run_report
short_description: Writes the evidence of runs, and a report for people
version_added: 1.0.0
description:
  - Makes C(evidence.json) and C(report.html) from the journals that M(agnostic.recovery.run_journal) has written.
  - Evidence holds the timeline, RTO and RPO, stored bytes, the changes of the fix-ups, check results, pictures of the screens and the proof
    of tear-down.
  - The report is one file without outside parts. It needs no JavaScript.
  - The same journals always give the same files.
author:
  - the agnostic.recovery developers (@agnostic-recovery)
extends_documentation_fragment:
  - agnostic.recovery.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  run_dirs:
    description: Directories of the runs, in the order of the report.
    type: list
    elements: path
    required: true
  output_dir:
    description: Directory for the two files. The first of O(run_dirs) by default.
    type: path
  title:
    description: Title of the report.
    type: str
    default: Recovery report
"""

EXAMPLES = r"""
- name: One report of two drills
  agnostic.recovery.run_report:
    run_dirs:
      - "{{ first_drill.run_dir }}"
      - "{{ second_drill.run_dir }}"
    output_dir: "{{ playbook_dir }}/drill-report"
  register: report

- name: Show the summary
  ansible.builtin.debug:
    msg: "{{ report.summary }}"
"""

RETURN = r"""
passed:
  description: Whether all runs passed, tear-down included.
  returned: success
  type: bool
summary:
  description: Short summary as lines of text.
  returned: success
  type: list
  elements: str
evidence:
  description: Path of the evidence.
  returned: success
  type: str
report:
  description: Path of the report.
  returned: success
  type: str
"""

import json
import os
import tempfile

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.runbook.evidence import build_evidence
from ..module_utils.runbook.journal import read_journal
from ..module_utils.runbook.report import render_report
from ..module_utils.runbook.summary import summary_lines


def replace_if_changed(module, path, text):
    """Writes a file, whole or not at all. Returns whether it changes."""
    data = text.encode("utf-8")
    try:
        with open(path, "rb") as stream:
            if stream.read() == data:
                return False
    except FileNotFoundError:
        pass
    if not module.check_mode:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".report-")
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        module.atomic_move(temporary, path)
    return True


def main():
    module = AnsibleModule(
        argument_spec=dict(
            run_dirs=dict(type="list", elements="path", required=True),
            output_dir=dict(type="path"),
            title=dict(type="str", default="Recovery report"),
        ),
        supports_check_mode=True,
    )
    run_dirs = module.params["run_dirs"]
    try:
        evidence = build_evidence([(run_dir, read_journal(run_dir)) for run_dir in run_dirs])
        output = module.params["output_dir"] or run_dirs[0]
        page = render_report(evidence, {run["id"]: run_dir for run, run_dir in zip(evidence["runs"], run_dirs)}, module.params["title"])
        paths = {"evidence": os.path.join(output, "evidence.json"), "report": os.path.join(output, "report.html")}
        data = json.dumps(evidence, indent=2, sort_keys=True) + "\n"
        changed = [replace_if_changed(module, paths["evidence"], data), replace_if_changed(module, paths["report"], page)]
    except (RecoveryError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=any(changed), passed=evidence["passed"], summary=summary_lines(evidence), **paths)


if __name__ == "__main__":
    main()
