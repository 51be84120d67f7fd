# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks over the network: tcp, http and ssh."""

# The library knows no AnsibleModule, whose run_command the rule asks for.
# pylint: disable=ansible-bad-function

import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import time

from ..errors import TargetError
from ..target.qemu_network import forward_states
from .check_model import CheckFailed, excerpt, match_text

_BODY_LIMIT = 8 << 20
_ATTEMPT_SECONDS = 15.0


def attempt_tcp(check, target, deadline):
    """Connects; optionally sends `send` and matches what comes back with `regex`."""
    host, port = target.endpoint(check["port"])
    with _connect(host, port, deadline) as connection:
        if check["send"]:
            connection.sendall(check["send"].encode("utf-8"))
        if check["regex"]:
            return match_text("the answer", _receive(connection, check["regex"], deadline), regex=check["regex"])
        if target.is_forwarded(check["port"]):
            _wait_established(target.run_dir, connection, port, deadline)
    return f"port {check['port']} accepts connections"


def attempt_http(check, target, deadline):
    """Requests one page. Redirections are not followed: they can lead to another machine, even to the one in production."""
    host, port = target.endpoint(check["port"])
    timeout = _attempt_time(deadline)
    if check["tls"]:
        context = ssl.create_default_context() if check["verify_tls"] else ssl._create_unverified_context()   # noqa: SLF001
        connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        headers = {"Host": check["host"] or host, "User-Agent": "agnostic.recovery", "Connection": "close"}
        connection.request("GET", check["path"], headers=headers)
        response = connection.getresponse()
        body = response.read(_BODY_LIMIT).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        raise CheckFailed(f"no answer to GET {check['path']}: {_words(error)}") from error
    finally:
        connection.close()
    if response.status != check["status"]:
        raise CheckFailed(f"GET {check['path']} gave status {response.status}, not {check['status']}: {excerpt(body)}")
    details = [f"status {response.status}, {len(body)} characters", match_text("the page", body, check["contains"], check["regex"])]
    if check["json_query"]:
        details.append(_match_json(body, check["json_query"], check["json_value"]))
    return ", ".join(detail for detail in details if detail)


def attempt_ssh(check, target, deadline):
    """Reads the server's greeting, or, with `command`, logs in by key and runs it."""
    host, port = target.endpoint(check["port"])
    if not check["command"]:
        with _connect(host, port, deadline) as connection:
            # RFC 4253, 4.2
            return match_text("the greeting", _receive(connection, r"^SSH-2\.0-\S+", deadline), regex=r"^SSH-2\.0-\S+")
    if not shutil.which("ssh"):
        raise TargetError("The program ssh is missing on this host: install openssh-client (Debian, Ubuntu) or openssh-clients.")
    # The machine has a new address here, so its host key cannot be known under it.
    seconds = max(1, int(_attempt_time(deadline)))
    arguments = ["ssh", "-p", str(port), "-l", check["user"] or "root", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
                 "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", f"ConnectTimeout={seconds}"]
    arguments += ["-i", check["key_file"], "-o", "IdentitiesOnly=yes"] if check["key_file"] else []
    return run_program(arguments + ["--", host, check["command"]], check, deadline)


def run_program(arguments, check, deadline, environment=None):
    """Runs a program to its end; status 0 and the wanted output pass. Raises CheckFailed."""
    try:
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
                              timeout=max(1.0, deadline - time.monotonic()), check=False)
    except OSError as error:
        raise TargetError(f"The check's program cannot be run: {error}.") from error
    except subprocess.TimeoutExpired:
        raise CheckFailed("the command did not end in time")
    output = done.stdout.decode("utf-8", "replace")
    if done.returncode:
        raise CheckFailed(f"the command ended with status {done.returncode}: {excerpt(done.stderr.decode('utf-8', 'replace') or output)}")
    return match_text("the output", output, check["contains"], check["regex"]) or "the command ended with status 0"


def _attempt_time(deadline):
    return max(0.5, min(_ATTEMPT_SECONDS, deadline - time.monotonic()))


def _connect(host, port, deadline):
    try:
        return socket.create_connection((host, port), timeout=_attempt_time(deadline))
    except OSError as error:
        raise CheckFailed(f"no connection to {host}:{port}: {_words(error)}") from error


def _receive(connection, regex, deadline):
    """Reads until the text matches, the peer closes, or the attempt's time is over."""
    until = time.monotonic() + _attempt_time(deadline)
    data = b""
    while len(data) < _BODY_LIMIT and not re.search(regex, data.decode("utf-8", "replace"), re.MULTILINE):
        try:
            connection.settimeout(max(0.01, until - time.monotonic()))
            piece = connection.recv(65536)
        except OSError as error:
            raise CheckFailed(f"no fitting answer: {_words(error)}, got {excerpt(data.decode('utf-8', 'replace'))!r}") from error
        if not piece:
            break
        data += piece
    return data.decode("utf-8", "replace")


def _wait_established(run_dir, connection, host_port, deadline):
    until = time.monotonic() + _attempt_time(deadline)
    while time.monotonic() < until:
        if _is_closed(connection):
            raise CheckFailed("the machine refused the connection")
        try:
            if "ESTABLISHED" in forward_states(run_dir, host_port):
                return
        except (OSError, TargetError) as error:
            raise CheckFailed(f"QEMU does not tell of its connections: {error}") from error
        time.sleep(0.2)
    raise CheckFailed("the machine did not answer")


def _is_closed(connection):
    """Whether the peer has closed the connection, without taking data off it."""
    connection.settimeout(0.05)
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except socket.timeout:
        return False
    except OSError:
        return True


def _match_json(body, query, value):
    try:
        import jmespath
    except ImportError:
        raise TargetError("json_query needs the Python package jmespath on this host (Debian: python3-jmespath).")
    try:
        found = jmespath.search(query, json.loads(body))
    except ValueError as error:
        raise CheckFailed(f"the page is no JSON, or {query!r} is no query: {error}") from error
    if str(found) != str(value):
        raise CheckFailed(f"{query} is {excerpt(repr(found))}, not {value!r}")
    return f"{query} is {excerpt(repr(found))}"


def _words(error):
    return str(error) or type(error).__name__
