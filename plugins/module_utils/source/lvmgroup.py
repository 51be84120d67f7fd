# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the metadata of an LVM2 volume group says of its logical volumes (lvm2 lib/format_text/import_vsn1.c).

A logical volume is `plain` when its bytes are just extents of physical volumes, linear or striped, and nothing else in the group refers to
it. Of all others (mirrors, RAID, thin pools, caches, snapshots, their origins and parts) only the extents are told: who interprets what
lies there would have to be that driver. Of the parts of a thin pool, its data and its metadata, it is also told where their bytes are.
"""

from typing import Dict, List, NamedTuple, Sequence, Set, Tuple

from .lvmlabel import SECTOR
from .lvmtext import Value
from .mapread import MapUnknown
from .stripes import Place, Segment

MAX_EXTENT = 1 << 32            # extents are numbered by 32 bits
STRIPED = ("striped", "linear")
AREAS = {"striped": "stripes", "linear": "stripes", "mirror": "mirrors"}    # segment types that lie on physical volumes themselves
PLAIN_STATUS = {"READ", "WRITE", "VISIBLE", "FIXED_MINOR"}
POOL_PART = "part of thin-pool"                                             # an obstacle

Section = Dict[str, Value]


class Area(NamedTuple):
    """Allocated bytes of a physical volume."""
    member: int          # index of the physical volume
    start: int           # byte of the physical volume
    length: int


class LogicalVolume(NamedTuple):
    name: str
    uuid: str
    size: int                            # bytes
    areas: Tuple[Area, ...]              # all that it occupies itself, without what it refers to
    segments: Tuple[Segment, ...]        # where its bytes are, if it is plain or part of a thin pool; () if they are on other volumes
    obstacle: str                        # what makes it not plain: "thin-pool", "part of another volume"; "" if it is plain
    metadata: str = ""                   # of the data of a thin pool: the name of the volume with its metadata


class Extents(NamedTuple):
    """The extents of one physical volume."""
    member: int
    start: int           # byte of the first
    count: int
    size: int            # bytes


def section_of(parent: Section, name: str) -> Section:
    """A subsection; one that is not there is empty."""
    found = parent.get(name, {})
    if not isinstance(found, dict):
        raise MapUnknown(f"{name} of the LVM metadata is no section")
    return found


def whole_number(section: Section, name: str, limit: int = MAX_EXTENT) -> int:
    found = section.get(name)
    if not isinstance(found, int) or not 0 <= found <= limit:
        raise MapUnknown(f"{name} of the LVM metadata makes no sense")
    return found


def text_of(section: Section, name: str) -> str:
    found = section.get(name, "")
    if not isinstance(found, str):
        raise MapUnknown(f"{name} of the LVM metadata is no text")
    return found


def parse_logical_volumes(sections: Section, physical: Dict[str, Extents], extent_size: int) -> Tuple[LogicalVolume, ...]:
    """All logical volumes of a group. `physical`: the extents of the physical volumes by their names in the metadata."""
    names = [name for name in sections if section_of(sections, name)]
    parts = [_segments_of(section_of(sections, name)) for name in names]
    references = _references(parts)
    metadata = {text_of(segment, "pool"): text_of(segment, "metadata") for segments in parts for segment in segments
                if text_of(segment, "type") == "thin-pool"}
    found = []
    for name, segments in zip(names, parts):
        section = section_of(sections, name)
        areas = tuple(area for segment in segments for area in _areas(segment, physical))
        obstacle = _obstacle(section, segments, references.get(name, set()), physical)
        known = not obstacle or (obstacle == POOL_PART and _on_physical(segments, physical))
        plain = tuple(_plain_segment(segment, physical, extent_size) for segment in segments) if known else ()
        size = sum(whole_number(segment, "extent_count") for segment in segments) * extent_size
        found.append(LogicalVolume(name, text_of(section, "id"), size, areas, plain, obstacle, metadata.get(name, "")))
    _check_overlap(found)
    return tuple(found)


def _segments_of(section: Section) -> List[Section]:
    """The segments in order, which must follow each other without a gap."""
    found = [section_of(section, f"segment{number + 1}") for number in range(whole_number(section, "segment_count"))]
    position = 0
    for segment in found:
        if whole_number(segment, "start_extent") != position or not whole_number(segment, "extent_count"):
            raise MapUnknown("the segments of a logical volume do not follow each other")
        position += segment["extent_count"]
    return found


def _pairs(segment: Section) -> List[Tuple[str, int]]:
    """(name, first extent) of each area of a segment of a type that has areas."""
    flat = segment.get(AREAS[segment["type"]])
    if not isinstance(flat, list) or not flat or len(flat) % 2:
        raise MapUnknown("a segment of a logical volume has no areas")
    pairs = list(zip(flat[::2], flat[1::2]))
    if not all(isinstance(name, str) and isinstance(first, int) and first >= 0 for name, first in pairs):
        raise MapUnknown("the areas of a segment make no sense")
    return pairs


def _areas(segment: Section, physical: Dict[str, Extents]) -> List[Area]:
    kind = text_of(segment, "type")
    if kind not in AREAS:
        if _names(segment) & set(physical):
            raise MapUnknown(f"segments of type {kind} are not known to lie on physical volumes")
        return []
    pairs = _pairs(segment)
    count = segment["extent_count"]
    if kind in STRIPED:
        if count % len(pairs) or len(pairs) != whole_number(segment, "stripe_count"):
            raise MapUnknown("a striped segment does not divide among its stripes")
        count //= len(pairs)
    found = []
    for name, first in pairs:
        extents = physical.get(name)
        if extents is None:
            continue        # a logical volume, whose own segments tell
        if first + count > extents.count:
            raise MapUnknown("a segment lies beyond the end of its physical volume")
        found.append(Area(extents.member, extents.start + first * extents.size, count * extents.size))
    return found


def _names(value: Value) -> Set[str]:
    """All texts in a section but its type: what may be the name of a volume."""
    if isinstance(value, dict):
        return {name for key, each in value.items() if key != "type" for name in _names(each)}
    if isinstance(value, list):
        return {name for each in value for name in _names(each)}
    return {value} if isinstance(value, str) else set()


def _references(parts: Sequence[Sequence[Section]]) -> Dict[str, Set[str]]:
    """The types of the segments that refer to a name."""
    found: Dict[str, Set[str]] = {}
    for segment in (segment for segments in parts for segment in segments):
        for name in _names(segment):
            found.setdefault(name, set()).add(text_of(segment, "type"))
    return found


def _obstacle(section: Section, segments: Sequence[Section], using: Set[str], physical: Dict[str, Extents]) -> str:
    kinds = sorted({text_of(segment, "type") for segment in segments} - set(STRIPED))
    if kinds:
        return " and ".join(kinds)
    if using:
        return f"part of {' and '.join(sorted(using))}"
    status = section.get("status", [])
    if not isinstance(status, list) or "VISIBLE" not in status:
        return "hidden"
    unusual = [str(word) for word in status if word not in PLAIN_STATUS]
    if unusual:
        return " and ".join(unusual)
    return "" if _on_physical(segments, physical) else "on other volumes"


def _on_physical(segments: Sequence[Section], physical: Dict[str, Extents]) -> bool:
    return bool(segments) and all(area in physical for segment in segments for area, _first in _pairs(segment))


def _plain_segment(segment: Section, physical: Dict[str, Extents], extent_size: int) -> Segment:
    pairs = _pairs(segment)
    chunk = 0
    if len(pairs) > 1:
        chunk = whole_number(segment, "stripe_size") * SECTOR
        if not chunk or extent_size % chunk:
            raise MapUnknown("the stripe size of a segment makes no sense")
    places = (Place(physical[name].member, physical[name].start + first * extent_size) for name, first in pairs)
    return Segment(segment["start_extent"] * extent_size, segment["extent_count"] * extent_size, chunk,
                   tuple((place,) for place in places))


def _check_overlap(volumes: Sequence[LogicalVolume]) -> None:
    areas = sorted(area for volume in volumes for area in volume.areas)
    for area, following in zip(areas, areas[1:]):
        if area.member == following.member and area.start + area.length > following.start:
            raise MapUnknown("two logical volumes share extents")
