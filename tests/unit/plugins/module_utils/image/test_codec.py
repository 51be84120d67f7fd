# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compression with every provider, read by every other one."""

import os
import zlib

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import RepositoryError
from ansible_collections.agnostic.recovery.plugins.module_utils.image import codec

SIZE = 1 << 16
TEXTS = [b"a", b"text " * 1000, bytes(SIZE), os.urandom(SIZE), os.urandom(100) * 600]


def providers():
    found = {"zlib": codec.Zlib()}
    if codec._zstd_package() is not None:
        found["package"] = codec.ZstdPackage(codec._zstd_package(), SIZE)
    if codec._zstd_library() is not None:
        found["library"] = codec.ZstdLibrary(codec._zstd_library(), SIZE)
    return found


@pytest.fixture(name="only")
def fixture_only(monkeypatch):
    """Leave only one zstd provider."""
    def only(name):
        codec._zstd_package(), codec._zstd_library()
        for other in {"package", "library"} - {name}:
            monkeypatch.setitem(codec._LOADED, other, None)
        if name in codec._LOADED and codec._LOADED[name] is None:
            pytest.skip(f"this Python has no zstd {name}")
    return only


@pytest.mark.parametrize("writer", ["zlib", "package", "library"])
@pytest.mark.parametrize("reader", ["package", "library"])
@pytest.mark.parametrize("kind", [bytes, bytearray, lambda data: memoryview(bytearray(data))])
def test_round_trip(only, writer, reader, kind):
    compressor = providers().get(writer)
    if compressor is None:
        pytest.skip(f"no zstd {writer} here")
    only(reader)
    for text in TEXTS:
        compressed = compressor.compress(kind(text))
        assert codec.decompress(compressor.codec, memoryview(compressed), len(text)) == text


def test_both_zstd_providers_use_the_same_parameters():
    found = providers()
    if len(found) < 3:
        pytest.skip("needs both zstd providers")
    sizes = [len(found[name].compress(bytes(range(256)) * 100 + b"some text " * 300)) for name in ("package", "library")]
    assert abs(sizes[0] - sizes[1]) < 20


def test_the_choice(only):
    only("package")
    assert codec.new_compressor(SIZE).codec == codec.ZSTD
    assert isinstance(codec.new_compressor(SIZE), codec.ZstdPackage)


def test_the_choice_without_the_package(only):
    only("library")
    assert isinstance(codec.new_compressor(SIZE), codec.ZstdLibrary)


def test_the_choice_without_any_zstd(only):
    only("none")
    assert codec.new_compressor(SIZE).codec == codec.ZLIB
    with pytest.raises(RepositoryError, match="install python3-zstandard"):
        codec.decompress(codec.ZSTD, b"x", 1)


@pytest.mark.parametrize("provider", ["zlib", "package", "library"])
def test_wrong_sizes_and_damage(only, provider):
    compressor = providers().get(provider)
    if compressor is None:
        pytest.skip(f"no zstd {provider} here")
    only(provider)
    text = b"some text " * 1000
    compressed = compressor.compress(text)
    for data, size in ((compressed, len(text) - 1), (compressed, len(text) + 1), (compressed[:-1], len(text)), (compressed[:5], len(text)),
                       (b"", 1), (b"garbage", 7), (os.urandom(200), 100)):
        with pytest.raises(codec.CodecError):
            codec.decompress(compressor.codec, data, size)


@pytest.mark.parametrize("provider", ["zlib", "package", "library"])
def test_a_bomb_is_not_unpacked(only, provider):
    only(provider)
    if provider == "zlib":
        bomb, number = zlib.compress(bytes(50 << 20)), codec.ZLIB
    else:
        zstandard = pytest.importorskip("zstandard")
        bomb, number = zstandard.ZstdCompressor().compress(bytes(50 << 20)), codec.ZSTD
    with pytest.raises(codec.CodecError):
        codec.decompress(number, bomb, 4096)


def test_none_and_unknown():
    assert codec.decompress(codec.NONE, b"abc", 3) == b"abc"
    with pytest.raises(codec.CodecError, match="length"):
        codec.decompress(codec.NONE, b"abc", 4)
    with pytest.raises(codec.CodecError, match="codec 9 is not known"):
        codec.decompress(9, b"abc", 3)
