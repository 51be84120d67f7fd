# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The YAML of configuration files, with the place of each value in the text, so that a value can be changed and all else stays.

Worker hosts have no PyYAML for certain, and none of the common readers tells where a value stands. Read are block and flow mappings
and lists, plain and quoted scalars of one line, and comments (YAML 1.2, chapters 6 to 8). Anchors, aliases, tags, block scalars, scalars
over several lines and several documents are refused: nothing may be understood wrong.
"""

import re

from typing import NamedTuple

from ...errors import MachineError

MAX_DEPTH = 40               # of nesting; sound files have less than 10

_QUOTED = re.compile(r""""(?:[^"\\\n]|\\.)*"|'(?:[^'\n]|'')*'""")
_START = r"(?![-?:](?:\s|\Z))[^\s\[\]{},#&*!|>'\"%@`]"
_PLAIN = re.compile(_START + r"(?:[^\n:#]|:(?=\S)|(?<=\S)#)*")
_PLAIN_IN_FLOW = re.compile(r"(?![?:]|-[,\[\]{}])" + _START + r"(?:[^\n:#,\[\]{}]|:(?=[^\s,\[\]{}])|(?<=\S)#)*")
_REST = re.compile(r"[ \t]*(?:(?<=[ \t])#[^\n]*)?(?=\r?\n|\Z)")
_STRANGE = re.compile("\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]")      # some of them end lines for some readers
_MARKER = re.compile(r"(?:---|\.\.\.)(?=\s|\Z)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", '"': '"', "\\": "\\", "/": "/", " ": " "}


class Node(NamedTuple):
    """A value and its place in the text, quotes and brackets included. An absent value has an empty place."""
    kind: str                # scalar map list
    value: object            # text of a scalar; tuple of Entry, or of Node
    start: int
    end: int
    flow: bool = False       # in brackets

    def get(self, key: str):
        """The value of the last such key of a map, None when there is none, or when this is no map."""
        found = [entry.node for entry in self.value if entry.key == key] if self.kind == "map" else []
        return found[-1] if found else None


class Entry(NamedTuple):
    """A key of a map with its value."""
    key: str
    start: int               # place of the key
    end: int
    node: Node


def parse_yaml(text: str) -> Node:
    """The document. Raises MachineError for what is no YAML, or more of it than is read here, with the number of the line."""
    return _Reader(text).document()


def plain(node: Node):
    """Dicts, lists and text of a node. Numbers and truth values stay text; what is absent or null is None."""
    if node.kind == "map":
        return {entry.key: plain(entry.node) for entry in node.value}
    if node.kind == "list":
        return [plain(item) for item in node.value]
    unquoted = node.end - node.start == len(node.value)
    return None if unquoted and node.value in ("", "~", "null", "Null", "NULL") else node.value


class _Reader:
    def __init__(self, text):
        self._text = text
        self._at = 0

    def document(self):
        strange = _STRANGE.search(self._text)
        if strange:
            self._at = strange.start()
            self._refuse("no text: it holds a control character")
        start = re.match(r"\ufeff?(?:[ \t]*(?:#[^\n]*)?\r?\n)*---(?=[ \t]*(?:#[^\n]*)?(?:\r?\n|\Z))", self._text)
        self._at = start.end() if start else int(self._text.startswith("\ufeff"))
        self._skip()
        node = self._block(0)
        self._skip()
        if self._at < len(self._text):
            self._refuse()
        return node

    # places

    def _refuse(self, what="not understood"):
        line = self._text.count("\n", 0, self._at) + 1
        raise MachineError(f"line {line} is {what}.")

    def _skip(self):
        """Goes to the next thing on this or a later line."""
        while True:
            line_start = self._at == 0 or self._text[self._at - 1] == "\n"
            blanks = re.compile(r"[ \t]*").match(self._text, self._at)
            following = self._text[blanks.end():blanks.end() + 1]
            if following == "#" and (line_start or blanks.end() > self._at):
                end = self._text.find("\n", blanks.end())
                self._at = len(self._text) if end < 0 else end
            elif following in ("\n", "\r"):
                self._at = blanks.end() + 1
            else:
                if line_start and "\t" in blanks.group() and following:
                    self._refuse("indented with tabs")
                self._at = blanks.end()
                if self._column() == 0 and _MARKER.match(self._text, self._at):
                    self._refuse("the border of a further document")
                return

    def _column(self):
        """Of the present place, -1 at the end."""
        return self._at - (self._text.rfind("\n", 0, self._at) + 1) if self._at < len(self._text) else -1

    def _line_ends(self):
        return _REST.match(self._text, self._at) is not None

    def _dash(self):
        return re.compile(r"-(?=\s|\Z)").match(self._text, self._at) is not None

    def _key_end(self, flow=False):
        """(end of the key, place after its colon) when a key begins here, else None."""
        quoted = _QUOTED.match(self._text, self._at)
        found = quoted or (_PLAIN_IN_FLOW if flow else _PLAIN).match(self._text, self._at)
        if found is None:
            return None
        end = self._at + len(found.group().rstrip())
        following = r"(?=\s|\Z)" if not flow else "" if quoted else r"(?=[\s,\[\]{}]|\Z)"
        colon = re.compile(r"[ \t]*:" + following).match(self._text, end)
        return None if colon is None else (end, colon.end())

    # values

    def _block(self, depth):
        if depth > MAX_DEPTH:
            self._refuse("nested too deep")
        if self._at >= len(self._text):
            return self._nothing()
        if self._dash():
            return self._block_list(self._column(), depth)
        if self._key_end() is not None:
            return self._block_map(self._column(), depth)
        return self._inline(depth)

    def _nothing(self):
        return Node("scalar", "", self._at, self._at)

    def _block_map(self, column, depth):
        start, entries = self._at, []
        while self._column() == column and not self._dash():
            ends = self._key_end()
            if ends is None:
                self._refuse()
            key_start, key = self._at, self._unquoted(self._at, ends[0])
            self._at = ends[1]
            entries.append(Entry(key, key_start, ends[0], self._child(column, depth, dashes=True)))
            end = entries[-1].node.end
            self._skip()
        if self._column() > column:
            self._refuse()
        return Node("map", tuple(entries), start, end)

    def _block_list(self, column, depth):
        start, items = self._at, []
        while self._column() == column and self._dash():
            self._at += 1
            end = self._at
            items.append(self._child(column, depth, dashes=False))
            end = max(end, items[-1].end)
            self._skip()
        if self._column() > column:
            self._refuse()
        return Node("list", tuple(items), start, end)

    def _child(self, column, depth, dashes):
        """The value behind a colon or a dash. Below a key, a list may begin in the column of the key."""
        if self._line_ends():
            nothing = self._nothing()
            self._skip()
            if self._column() > column or dashes and self._column() == column and self._dash():
                return self._block(depth + 1)
            return nothing
        self._at = re.compile(r"[ \t]*").match(self._text, self._at).end()
        return self._inline(depth + 1) if dashes else self._block(depth + 1)

    def _inline(self, depth):
        node = self._value(_PLAIN, depth)
        if not self._line_ends():
            self._refuse()
        return node

    def _value(self, pattern, depth):
        if depth > MAX_DEPTH:
            self._refuse("nested too deep")
        start = self._at
        if self._text[start:start + 1] in ("[", "{"):
            return self._flow(depth)
        found = _QUOTED.match(self._text, start) or pattern.match(self._text, start)
        if found is None:
            self._refuse("more than simple YAML" if self._text[start:start + 1] in tuple("&*!|>") else "not understood")
        self._at = start + len(found.group().rstrip())
        return Node("scalar", self._unquoted(start, self._at), start, self._at)

    def _flow(self, depth):
        start, is_map, items = self._at, self._text[self._at] == "{", []
        closing = "}" if is_map else "]"
        self._at += 1
        while True:
            self._skip()
            if self._text[self._at:self._at + 1] == closing:
                self._at += 1
                return Node("map" if is_map else "list", tuple(items), start, self._at, True)
            items.append(self._flow_entry(depth) if is_map else self._value(_PLAIN_IN_FLOW, depth + 1))
            self._skip()
            if self._text[self._at:self._at + 1] == ",":
                self._at += 1
            elif self._text[self._at:self._at + 1] != closing:
                self._refuse()

    def _flow_entry(self, depth):
        ends = self._key_end(flow=True)
        if ends is None:
            self._refuse()
        start, key = self._at, self._unquoted(self._at, ends[0])
        self._at = ends[1]
        self._skip()
        node = self._nothing() if self._text[self._at:self._at + 1] in (",", "}") else self._value(_PLAIN_IN_FLOW, depth + 1)
        return Entry(key, start, ends[0], node)

    def _unquoted(self, start, end):
        text = self._text[start:end]
        if text[:1] == "'":
            return text[1:-1].replace("''", "'")
        if text[:1] == '"':
            return re.sub(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", self._character, text[1:-1])
        return text

    def _character(self, match):
        code = match.group(1)
        if len(code) > 1:
            return chr(int(code[1:], 16))
        if code not in _ESCAPES:
            self._refuse("more than simple YAML")
        return _ESCAPES[code]
