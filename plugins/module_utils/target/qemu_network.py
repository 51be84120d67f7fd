# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The connections of a guest's user networks, as QEMU sees them."""

import re

from .qemu import user_networks
from .qemu_command import QMP_SOCKET
from .qmp import Qmp

_ROW = re.compile(r"TCP\[(\w+)\]\s+-?\d+\s+\S+\s+(\d+)\s")


def forward_states(run_dir, host_port):
    """States in the guest of the connections that came in through the forwarded port: {"ESTABLISHED", "SYN_SENT", ...}.

    QEMU accepts a connection to a forwarded port itself and only then knocks at the guest, so a successful connect proves nothing about
    the guest. This does. Raises OSError, TargetError.
    """
    states = set()
    for place in user_networks(run_dir):
        with Qmp(place, QMP_SOCKET) as qmp:
            states |= parse_usernet(qmp.execute("human-monitor-command", **{"command-line": "info usernet"})).get(host_port, set())
    return states


def parse_usernet(text):
    """{host port: set of states} of all TCP connections in the text of QEMU's monitor command "info usernet"."""
    states = {}
    for row in _ROW.finditer(text):
        if row.group(1) != "HOST_FORWARD":            # that one only listens
            states.setdefault(int(row.group(2)), set()).add(row.group(1))
    return states
