#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: machine_check
short_description: Proves that a recovered machine serves
version_added: 1.0.0
description:
  - Runs checks against a recovered machine, all at the same time, and tries each until it passes or its time is over.
  - A check is given up early where the guest has ended or its console shows that it will not come up.
  - The module fails where a required check does not pass.
author:
  - the agnostic.recovery developers (@agnostic-recovery)
requirements:
  - for checks of kind V(sql) on PostgreSQL C(psycopg), C(psycopg2) or the program C(psql), on MySQL C(PyMySQL)
  - for O(checks[].json_query) the Python package C(jmespath)
  - for O(checks[].kind=ssh) with O(checks[].command) the program C(ssh)
extends_documentation_fragment:
  - agnostic.recovery.attributes
attributes:
  check_mode:
    support: full
    details:
      - Checks change nothing, but there is no machine to check in a rehearsal. So in check mode their descriptions are examined only.
  diff_mode:
    support: none
options:
  guest:
    description:
      - The guest, as RV(agnostic.recovery.qemu_guest#module:guest) of M(agnostic.recovery.qemu_guest) returns it.
      - Checks use its forwarded ports and its console.
    type: dict
    default: {}
  address:
    description: Name or address of the machine, for ports that no forward of O(guest) leads to.
    type: str
    default: ''
  ignore_failures:
    description: Only report checks that do not pass. The module succeeds.
    type: bool
    default: false
  checks:
    description: The checks. Options that a kind does not know must not be given.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name for reports. The kind by default.
        type: str
      kind:
        description:
          - V(console) waits for O(checks[].pattern) on the serial console. With O(checks[].user) it then logs in and runs
            O(checks[].command).
          - V(tcp) connects to O(checks[].port). With O(checks[].regex) it also matches what the server sends.
          - V(http) requests a page. Redirections are not followed, as they may lead to production.
          - V(sql) runs O(checks[].query) in a read-only session and compares its result.
          - V(ssh) reads the greeting of the SSH server. With O(checks[].command) it logs in by key and runs it.
          - V(command) runs O(checks[].argv) on the host that runs the checks.
        type: str
        choices: [console, tcp, http, sql, ssh, command]
        required: true
      required:
        description: Whether recovery has failed without it.
        type: bool
        default: true
      timeout:
        description: Seconds after which the check has failed.
        type: int
        default: 300
      interval:
        description: Seconds between two attempts.
        type: int
        default: 3
      port:
        description: Port of the machine. The kind's usual one by default. For V(command) it only makes the variables.
        type: int
      contains:
        description: Texts that the page or the output must contain. For V(console), V(http), V(ssh) and V(command).
        type: list
        elements: str
      regex:
        description: Regular expression that the page, output or answer must match.
        type: str
      pattern:
        description: V(console). Regular expression to wait for. With O(checks[].user) the login prompt, which has a good default.
        type: str
      user:
        description: V(console), V(ssh) and V(sql). User to log in as.
        type: str
      password:
        description: V(console) and V(sql). Password of O(checks[].user).
        type: str
      command:
        description: V(console) and V(ssh). Shell command that must end with status 0.
        type: str
      key_file:
        description: V(ssh). File with the private key.
        type: path
      path:
        description: V(http). Path of the page, with its query.
        type: str
      host:
        description: V(http). Value of the C(Host) header, for servers with several sites.
        type: str
      status:
        description: V(http). Status code that is wanted, V(200) by default.
        type: int
      tls:
        description: V(http). Speak HTTPS.
        type: bool
      verify_tls:
        description: V(http). Whether the server's certificate must be valid for the address that is asked. True by default.
        type: bool
      json_query:
        description: V(http). JMESPath expression over the page's JSON.
        type: str
      json_value:
        description: V(http). What O(checks[].json_query) must give, compared as text.
        type: raw
      engine:
        description: V(sql). Kind of database, V(postgresql) by default. V(mysql) serves MariaDB too.
        type: str
        choices: [postgresql, mysql]
      database:
        description: V(sql). Name of the database, by default that of the user.
        type: str
      query:
        description: V(sql). The query.
        type: str
      rows:
        description: V(sql). All rows that are wanted, in order, compared as text.
        type: list
        elements: list
      value:
        description: V(sql). What the first column of the first row must be, compared as text.
        type: raw
      row_count:
        description: V(sql). How many rows are wanted.
        type: int
      send:
        description: V(tcp). Text to send first.
        type: str
      argv:
        description:
          - V(command). Program and arguments. It finds the machine in the variables C(DR_CHECK_HOST) and C(DR_CHECK_PORT).
        type: list
        elements: str
"""

EXAMPLES = r"""
- name: The shop serves
  agnostic.recovery.machine_check:
    guest: "{{ shop.guest }}"
    checks:
      - name: login
        kind: console
        user: root
        password: "{{ shop_root_password }}"
        command: systemctl is-active nginx postgresql
        contains: [active]
      - name: web server
        kind: tcp
        port: 80
      - name: page with rows
        kind: http
        path: /app
        contains: [Espresso, Cappuccino]
      - name: orders
        kind: sql
        database: shop
        user: shop
        password: "{{ shop_database_password }}"
        query: SELECT count(*) FROM orders
        value: 1200
"""

RETURN = r"""
passed:
  description: Whether all required checks passed.
  returned: always
  type: bool
checks:
  description: The results, in the order of O(checks).
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the check.
      type: str
      returned: always
    kind:
      description: Kind of the check.
      type: str
      returned: always
    passed:
      description: Whether it passed.
      type: bool
      returned: always
    required:
      description: Whether it is required.
      type: bool
      returned: always
    detail:
      description: What was found, or what is wrong.
      type: str
      returned: always
    seconds:
      description: Time from the first attempt to the verdict.
      type: float
      returned: always
    attempts:
      description: Number of attempts.
      type: int
      returned: always
    finished:
      description: When the verdict came, in seconds since 1970.
      type: float
      returned: always
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.machine.data import from_data
from ..module_utils.runbook.check_model import CheckTarget
from ..module_utils.runbook.checks import KINDS, complete_check, run_checks

CHECK = dict(
    name=dict(type="str"),
    kind=dict(type="str", required=True, choices=list(KINDS)),
    required=dict(type="bool", default=True),
    timeout=dict(type="int", default=300),
    interval=dict(type="int", default=3),
    port=dict(type="int"),
    contains=dict(type="list", elements="str"),
    regex=dict(type="str"),
    pattern=dict(type="str"),
    user=dict(type="str"),
    password=dict(type="str", no_log=True),
    command=dict(type="str"),
    key_file=dict(type="path", no_log=False),
    path=dict(type="str"),
    host=dict(type="str"),
    status=dict(type="int"),
    tls=dict(type="bool"),
    verify_tls=dict(type="bool"),
    json_query=dict(type="str"),
    json_value=dict(type="raw"),
    engine=dict(type="str", choices=["postgresql", "mysql"]),
    database=dict(type="str"),
    query=dict(type="str"),
    rows=dict(type="list", elements="list"),
    value=dict(type="raw"),
    row_count=dict(type="int"),
    send=dict(type="str"),
    argv=dict(type="list", elements="str"),
)


def run(module):
    guest = module.params["guest"]
    target = from_data(CheckTarget, {
        "address": module.params["address"], "forwards": guest.get("forwards", []), "run_dir": guest.get("run_dir", "")})
    if module.check_mode:
        for check in module.params["checks"]:
            complete_check(check)
        return []
    return run_checks(module.params["checks"], target)


def main():
    module = AnsibleModule(
        argument_spec=dict(
            guest=dict(type="dict", default={}),
            address=dict(type="str", default=""),
            ignore_failures=dict(type="bool", default=False),
            checks=dict(type="list", elements="dict", required=True, options=CHECK),
        ),
        supports_check_mode=True,
    )
    try:
        results = run(module)
    except (RecoveryError, OSError) as error:
        module.fail_json(msg=str(error), passed=False, checks=[])
    failed = [result for result in results if result.required and not result.passed]
    result = dict(changed=False, passed=not failed, checks=[dict(entry._asdict()) for entry in results])
    if failed and not module.params["ignore_failures"]:
        what = "; ".join(f"{entry.name}: {entry.detail}" for entry in failed)
        module.fail_json(msg=f"{len(failed)} of {len(results)} checks did not pass. {what}", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
