# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of every engine job."""


class ModuleDocFragment:

    DOCUMENTATION = r"""
options:
  nice:
    description:
      - The niceness of the job, from V(-20) to V(19), the least urgent. By default it is that of the connection.
    type: int
    version_added: 1.1.0
  ionice:
    description:
      - The class in which the job reads and writes disks. V(idle) lets everybody else go first, V(best-effort) is its lowest level.
      - It works with I/O schedulers that know of it, such as C(bfq).
    type: str
    choices: [best-effort, idle]
    version_added: 1.1.0
  attach:
    description:
      - Join the job if it runs already, and take over the result if it ended well within the last hour and nobody was told.
        Each result is handed out once.
      - V(false) makes a running job an error, and never takes over a result.
      - Two calls are the same job when they agree in kind, machine, repository, image, disks and file.
    type: bool
    default: true
  poll:
    description: How often to ask for the job's state, in seconds. It begins with shorter pauses.
    type: float
    default: 2
  progress:
    description:
      - The shortest time between two lines of progress, in seconds; V(0) for none. A line is shown for every phase, for each percent at
        most, and once a minute as a sign of life.
      - Where many hosts are at work at once, the time grows so that all of them together show about one line a second.
      - With C(no_log) no lines are shown.
    type: float
    default: 5
  reconnect:
    description: How long to go on asking when the host does not answer, in seconds, before the task gives up. The job goes on then.
    type: float
    default: 300
notes:
  - The task starts a detached process on the host and shows how it goes. The process outlives a lost connection, a
    task that is stopped with Ctrl-C, and the controller; the same task run again joins it.
  - "To stop a job, run on the host: C(python3 <job_dir>/engine-<hash>.pyz cancel <job id>); C(list) instead of C(cancel) shows all jobs."
  - The host needs a POSIX shell and Python 3.6 or newer, whatever the controller's ansible-core asks of modules.
  - Secrets go to the host over the standard input of one command. They are in no argument, environment, file or log. Connection plugins
    that cannot pass standard input (paramiko) cannot be used.
  - The state of the last 20 jobs is kept for up to 7 days.
"""
