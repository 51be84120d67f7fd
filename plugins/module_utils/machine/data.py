# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values of the model as plain JSON data, and back, by the annotations of their classes.

Supported are `typing.NamedTuple` classes whose fields are str, int, bool, other such classes, or `Tuple[<one of these>, ...]`.
"""

import typing

from ..errors import MachineError


def to_data(value):
    """Dicts, lists, strings, numbers and booleans for a value of the model.

    Bytes of the guest's files that are no UTF-8 come in strings as lone surrogates; they become backslash escapes here, because
    JSON cannot carry them safely.
    """
    if isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: to_data(getattr(value, name)) for name in value._fields}
    if isinstance(value, tuple):
        return [to_data(item) for item in value]
    raise MachineError(f"A value of type {type(value).__name__} has no place in a machine model.")


def from_data(cls, data):
    """The value of the NamedTuple class `cls` that `data` (from `to_data`, or from JSON) describes.

    Unknown keys are ignored, since a newer version may have written them; absent ones take their default. Raises
    `MachineError`, naming the place, if a required key is missing or a type is wrong.
    """
    return _value(cls, data, cls.__name__)


def _value(hint, data, place):
    if hint in (str, int, bool):
        # bool is a kind of int in Python, never in this data
        if isinstance(data, bool) != (hint is bool) or not isinstance(data, hint):
            raise MachineError(f"{place} must be of type {hint.__name__}, not {type(data).__name__}.")
        return data
    if hasattr(hint, "_fields"):
        return _named(hint, data, place)
    item = _item_of(hint)
    if not isinstance(data, (list, tuple)) or hasattr(data, "_fields"):
        raise MachineError(f"{place} must be a list, not {type(data).__name__}.")
    return tuple(_value(item, element, f"{place}[{index}]") for index, element in enumerate(data))


def _named(cls, data, place):
    if not isinstance(data, dict):
        raise MachineError(f"{place} must be a dictionary, not {type(data).__name__}.")
    hints = typing.get_type_hints(cls)
    missing = [name for name in cls._fields if name not in data and name not in cls._field_defaults]
    if missing:
        raise MachineError(f"{place} lacks {', '.join(missing)}.")
    return cls(**{name: _value(hints[name], data[name], f"{place}.{name}") for name in cls._fields if name in data})


def _item_of(hint):
    """X of Tuple[X, ...]. `__origin__` is `Tuple` in Python 3.6 and `tuple` later."""
    arguments = getattr(hint, "__args__", None) or ()
    if getattr(hint, "__origin__", None) not in (tuple, typing.Tuple) or len(arguments) != 2 or arguments[1] is not Ellipsis:
        raise TypeError(f"the model uses an annotation that is not supported: {hint!r}")
    return arguments[0]
