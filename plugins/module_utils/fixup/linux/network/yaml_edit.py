# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One change of a YAML text at a time: all else stays byte for byte, comments too. Places are those of the text as it was read, so a text
is read anew after each change.
"""

from typing import Sequence

from ....machine.network.yaml_text import Entry, Node


def with_scalar(text: str, node: Node, value: str) -> str:
    """Another scalar in the quotes of the old one."""
    if value == node.value:
        return text
    if node.start == node.end:           # nothing stands behind the colon
        return text[:node.start] + " " + _written(value) + text[node.end:]
    quote = text[node.start:node.start + 1]
    written = quote + value + quote if quote in ("'", '"') else _written(value)
    return text[:node.start] + written + text[node.end:]


def with_key(text: str, entry: Entry, key: str, value: str) -> str:
    """Another key with another scalar in place of an entry whose value is a scalar."""
    return text[:entry.start] + f"{key}: {_written(value)}" + text[entry.node.end:]


def with_entry(text: str, mapping: Node, key: str, value: str) -> str:
    """A new first entry of a map; `value` is YAML that fits on its line."""
    at = mapping.start
    if mapping.flow:
        return text[:at + 1] + f"{key}: {value}" + (", " if mapping.value else "") + text[at + 1:]
    indent = text[text.rfind("\n", 0, at) + 1:at]
    return text[:at] + f"{key}: {value}\n{indent}" + text[at:]


def without_entry(text: str, mapping: Node, entry: Entry) -> str:
    """The lines of an entry become comments; in braces it goes away."""
    if mapping.flow:
        kept = [text[other.start:max(other.end, other.node.end)] for other in mapping.value if other is not entry]
        return text[:mapping.start] + "{" + ", ".join(kept) + "}" + text[mapping.end:]
    if len(mapping.value) == 1:          # what is left is still a map
        indent = text[text.rfind("\n", 0, mapping.start) + 1:mapping.start]
        line_end = text.find("\n", mapping.end) if "\n" in text[mapping.end:] else len(text)
        text = text[:line_end] + f"\n{indent}{{}}" + text[line_end:]
    return _commented(text, entry.start, max(entry.end, entry.node.end))


def with_list(text: str, entry: Entry, values: Sequence[str]) -> str:
    """Another list of scalars as the value of an entry. The lines of an old one below its key become comments."""
    written = "[" + ", ".join(_written(value) for value in values) + "]"
    node = entry.node
    if node.kind == "list" and not node.flow:
        text = _commented(text, node.start, node.end)
        return text[:entry.end] + ": " + written + text[text.index(":", entry.end) + 1:]
    if node.start == node.end:
        at = text.index(":", entry.end) + 1
        return text[:at] + " " + written + text[at:]
    return text[:node.start] + written + text[node.end:]


def _commented(text, start, end):
    start = text.rfind("\n", 0, start) + 1
    return text[:start] + "\n".join("#" + line if line.strip() else line for line in text[start:end].split("\n")) + text[end:]


def _written(value):
    return f'"{value}"' if ":" in value else value
