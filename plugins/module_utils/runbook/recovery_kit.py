# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The recovery kit: one page for the safe, with all that is needed when only the repository is left. As text, and as HTML for A4."""

import html
import json
from typing import NamedTuple, Optional, Tuple

_LIBRARIES = {"s3": "boto3", "swift": "openstacksdk"}
_MAX_MACHINES = 24
_MAX_SLOTS = 6
_NEEDS = {"scrypt": "a passphrase", "pbkdf2-hmac-sha512": "a passphrase", "key-file": "a key file, or the key as printed",
          "command": "the command that unwraps its secret (key service, token)"}
# How the inventory names the key, by the type of the slot that is to be used.
_KEY_LINES = {"scrypt": "dr_repository_passphrase: \"{{ lookup('ansible.builtin.file', inventory_dir ~ '/key.txt') }}\"",
              "key-file": "dr_repository_key_file: /root/recovery.key",
              "command": "dr_repository_key_command: [PROGRAM, ARGUMENT]"}
_RECOVERY_KEY_LINE = "dr_repository_recovery_key: \"{{ lookup('ansible.builtin.file', inventory_dir ~ '/key.txt') }}\""


class Kit(NamedTuple):
    """What the page tells. `location` is the repository without secrets, whose names are in `withheld`; `slots` are (label, type);
    `key` the lines of a recovery key, or None to print none.
    """
    id: str
    format_version: int
    created: str
    epoch: int
    fingerprint: str
    location: dict
    withheld: Tuple[str, ...]
    slots: Tuple[Tuple[str, str], ...]
    machines: Tuple[str, ...]
    label: str
    key: Optional[Tuple[str, ...]]


class _Part(NamedTuple):
    """A heading with paragraphs, and lines that are to be typed or compared as they stand."""
    title: str
    paragraphs: Tuple[str, ...]
    lines: Tuple[str, ...] = ()


def kit_text(kit: Kit) -> str:
    """The page as plain text."""
    parts = ["RECOVERY KIT\n" + _INTRODUCTION]
    for part in _parts(kit):
        body = list(part.paragraphs) + (["\n".join("    " + line for line in part.lines)] if part.lines else [])
        parts.append("\n\n".join([part.title.upper()] + body))
    return "\n\n".join(parts) + "\n"


def kit_html(kit: Kit) -> str:
    """The page as one HTML file without outside parts."""
    parts = []
    for part in _parts(kit):
        lines = f"<pre>{html.escape(chr(10).join(part.lines))}</pre>" if part.lines else ""
        parts.append(f"<h2>{html.escape(part.title)}</h2>" + "".join(f"<p>{html.escape(text)}</p>" for text in part.paragraphs) + lines)
    return ('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
            f"<title>Recovery kit {kit.id[:8]}</title><style>{_STYLE}</style></head><body><h1>Recovery kit</h1>"
            f"<p>{html.escape(_INTRODUCTION)}</p>{''.join(parts)}</body></html>\n")


_INTRODUCTION = ("Keep this page apart from the site that it is for. With it, the repository and a Linux machine, every server can be "
                 "recovered, although its site, its inventory and its controller are gone.")

_STYLE = """
@page { size: A4; margin: 12mm 14mm; }
body { font: 8.5pt/1.25 "DejaVu Sans", Arial, sans-serif; color: #000; background: #fff; max-width: 182mm; margin: 0 auto; }
h1 { font-size: 15pt; margin: 0 0 1mm; } h2 { font-size: 10pt; margin: 2.6mm 0 .8mm; border-bottom: .3mm solid #000; }
p { margin: .8mm 0; overflow-wrap: anywhere; }
pre { font: 8pt/1.25 "DejaVu Sans Mono", "Liberation Mono", Consolas, monospace; margin: .8mm 0; padding: 1.2mm 2mm; border: .2mm solid #777;
  white-space: pre-wrap; overflow-wrap: anywhere; }
"""


def _parts(kit: Kit):
    return [_repository(kit), _key(kit), _slots(kit), _machine(kit), _inventory(kit), _recover(kit)]


def _repository(kit: Kit) -> _Part:
    where = ", ".join(f"{name} {value}" for name, value in sorted(kit.location.items()))
    withheld = f" Also needed, and not printed here: {', '.join(kit.withheld)}." if kit.withheld else ""
    return _Part("1. The repository", (
        f"Place: {where}.{withheld}",
        f"Id {kit.id}, format version {kit.format_version}, made {kit.created}. "
        f"Public key of epoch {kit.epoch}, SHA-256: {kit.fingerprint}."))


def _key(kit: Kit) -> _Part:
    if kit.key is None:
        return _Part("2. The key", ("No key is printed on this page. One of the keys below is needed.",))
    return _Part("2. The key", (
        f"Whoever has these lines can read every image: key slot \"{kit.label}\". Type them into a file key.txt. There are no letters "
        "I, L, O, U; case and spaces do not matter. The last group of each line checks it, so a typing error is told with its line.",),
        tuple(f"{number}: {line}" for number, line in enumerate(kit.key, 1)))


def _slots(kit: Kit) -> _Part:
    lines = [f"{label}: {_NEEDS.get(kind, kind)}" for label, kind in kit.slots[:_MAX_SLOTS]]
    if len(kit.slots) > _MAX_SLOTS:
        lines.append(f"and {len(kit.slots) - _MAX_SLOTS} more")
    return _Part("3. What opens the repository", ("Any one of these:",), tuple(lines))


def _machine(kit: Kit) -> _Part:
    library = _LIBRARIES.get(str(kit.location.get("type")), "")
    return _Part("4. A machine to recover with", (
        "Any Linux with Python 3.11 or newer, as root, that reaches the place of the repository and has room for the restored disks. For "
        "guests on it: QEMU (Debian: qemu-system-x86).",), (
        "python3 -m venv /opt/recovery",
        "/opt/recovery/bin/pip install ansible-core cryptography zstandard" + (" " + library if library else ""),
        ". /opt/recovery/bin/activate",
        "ansible-galaxy collection install agnostic.recovery"))


def _inventory(kit: Kit) -> _Part:
    if kit.key is not None:
        key, note = _RECOVERY_KEY_LINE, ""
    else:
        kinds = [kind.replace("pbkdf2-hmac-sha512", "scrypt") for _label, kind in kit.slots]
        kind = next((kind for kind in _KEY_LINES if kind in kinds), "key-file")
        key = _KEY_LINES[kind]
        note = {"scrypt": " The file key.txt beside it holds the passphrase.", "command": " Fill in the command."}.get(kind, "")
    location = dict(kit.location, **{name: "FILL IN" for name in kit.withheld})
    machines = {name: {} for name in kit.machines[:_MAX_MACHINES] or ("MACHINE",)}
    left_out = len(kit.machines) - _MAX_MACHINES
    more = f" There are {left_out} machines more: the module image_info lists all." if left_out > 0 else ""
    return _Part("5. inventory.yml", (f"Each machine to be recovered is a host.{note}{more}",), (
        "all:",
        "  vars:",
        "    ansible_connection: local",
        "    ansible_become: false",
        "    ansible_python_interpreter: \"{{ ansible_playbook_python }}\"",
        "    dr_repository: " + json.dumps(location, sort_keys=True),
        "    " + key,
        "  hosts:",
        "    localhost:",
        "  children:",
        "    dr_machines:",
        "      hosts: " + json.dumps(machines, ensure_ascii=False)))


def _recover(_kit: Kit) -> _Part:
    return _Part("6. Recover", (
        "The first command lists the images, the second writes the disks of the latest ones to files (or to where dr_restore_disks says), "
        "the third boots the machines as isolated guests, checks and removes them. An earlier image: -e dr_image=2026-11-22T01:00:00Z. One "
        "machine: --limit NAME.",), (
        "ansible-playbook -i inventory.yml agnostic.recovery.status",
        "ansible-playbook -i inventory.yml agnostic.recovery.restore -e dr_restore_dir=/srv/restored",
        "ansible-playbook -i inventory.yml agnostic.recovery.drill -e dr_capture=false"))
