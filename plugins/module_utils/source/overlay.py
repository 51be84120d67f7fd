# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A disk put together from readers of stretches of it."""

from typing import Callable, List, NamedTuple, Sequence

from ..errors import SourceError
from .ranges import Ranges


class Layer(NamedTuple):
    """A stretch of a disk, and who reads it; offsets are those of the disk."""
    start: int
    end: int
    read_at: Callable[[int, int], bytes]


class Overlay:
    """Reads every byte from the layer that holds it; what none holds reads as zeros."""

    def __init__(self, layers: Sequence[Layer]):
        self._layers = sorted(layers, key=lambda layer: layer.start)     # type: List[Layer]
        for before, layer in zip(self._layers, self._layers[1:]):
            if layer.start < before.end:
                raise SourceError(f"Two readers claim byte {layer.start} of one disk.")

    def holds(self, ranges: Ranges) -> bool:
        """Whether each of these bytes is in some layer."""
        return not ranges.minus(Ranges.ascending((layer.start, layer.end) for layer in self._layers))

    def read_at(self, offset: int, length: int) -> bytes:
        data = bytearray(length)
        for layer in self._layers:
            start, end = max(offset, layer.start), min(offset + length, layer.end)
            if start < end:
                data[start - offset:end - offset] = layer.read_at(start, end - start)
        return bytes(data)


def held(ranges: Ranges, read_at: Callable[[int, int], bytes]) -> List[Layer]:
    """These bytes, read now and kept in memory."""
    return [_in_memory(start, read_at(start, end - start)) for start, end in ranges]


def _in_memory(start: int, data: bytes) -> Layer:
    return Layer(start, start + len(data), lambda offset, length: data[offset - start:offset - start + length])
