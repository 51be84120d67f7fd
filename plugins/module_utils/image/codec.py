# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compression of single chunks: none, zlib, zstd.

zstd comes from the `zstandard` package, or else from the system's libzstd through ctypes. Where there is neither, a capture
uses zlib, and an image that was made with zstd cannot be read on that host.
"""

import ctypes
import threading
import zlib

from ..errors import RepositoryError

NONE = 0
ZLIB = 1
ZSTD = 2
NAMES = {NONE: "none", ZLIB: "zlib", ZSTD: "zstd"}

# Level 1 with the window as large as the chunk: what chunks lose against one long stream, the larger window and the free blocks that are
# not there make up for (see docs/format.md).
_LEVEL = 1
_MIN_WINDOW_LOG = 10
_ZLIB_LEVEL = 1


class CodecError(ValueError):
    """Compressed data are damaged."""


class Zlib:
    """Compressor of RFC 1950 streams."""
    codec = ZLIB

    def compress(self, data) -> bytes:
        return zlib.compress(data, _ZLIB_LEVEL)


class ZstdPackage:
    """Compressor of single zstd frames (RFC 8878) with the content size in the frame. For one thread."""
    codec = ZSTD

    def __init__(self, module, size: int):
        parameters = module.ZstdCompressionParameters.from_level(
            _LEVEL, source_size=size, window_log=_window_log(size), write_content_size=1)
        self._compressor = module.ZstdCompressor(compression_params=parameters)

    def compress(self, data) -> bytes:
        return self._compressor.compress(data)


class ZstdLibrary:
    """The same through libzstd. For one thread."""
    codec = ZSTD

    def __init__(self, library, size: int):
        self._library = library
        self._context = library.ZSTD_createCCtx()
        # ZSTD_cParameter of zstd.h, stable since 1.4: compressionLevel, windowLog.
        for parameter, value in ((100, _LEVEL), (101, _window_log(size))):
            library.ZSTD_CCtx_setParameter(self._context, parameter, value)
        self._output = ctypes.create_string_buffer(library.ZSTD_compressBound(size))

    def __del__(self):
        self._library.ZSTD_freeCCtx(self._context)

    def compress(self, data) -> bytes:
        if len(data) > len(self._output):
            self._output = ctypes.create_string_buffer(self._library.ZSTD_compressBound(len(data)))
        written = self._library.ZSTD_compress2(self._context, self._output, len(self._output), _address(data), len(data))
        if self._library.ZSTD_isError(written):
            raise RepositoryError("libzstd failed to compress.")
        return ctypes.string_at(self._output, written)


def new_compressor(size: int):
    """The best compressor that this host has, for one thread and data of `size` bytes."""
    package = _zstd_package()
    if package is not None:
        return ZstdPackage(package, size)
    library = _zstd_library()
    if library is not None:
        return ZstdLibrary(library, size)
    return Zlib()


def decompress(codec: int, data, size: int):
    """Exactly `size` bytes, never more than that in memory. Raises CodecError; RepositoryError where this host has no zstd."""
    if codec == NONE:
        if len(data) != size:
            raise CodecError("its length is wrong")
        return data
    if codec == ZLIB:
        return _inflate(data, size)
    if codec == ZSTD:
        package = _zstd_package()
        if package is not None:
            return _unzstd_package(package, data, size)
        library = _zstd_library()
        if library is not None:
            return _unzstd_library(library, data, size)
        raise RepositoryError("This image is compressed with zstd: install python3-zstandard or the library libzstd.so.1 on this host.")
    raise CodecError(f"its codec {codec} is not known")


def _inflate(data, size: int) -> bytes:
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(data, size + 1)
    except zlib.error as error:
        raise CodecError(f"it does not decompress ({error})") from error
    if len(plain) != size or not stream.eof or stream.unused_data:
        raise CodecError("it does not decompress to its length")
    return plain


def _unzstd_package(package, data, size: int) -> bytes:
    # The package would allocate whatever the frame claims, so the claim is checked first.
    try:
        if package.get_frame_parameters(data).content_size != size:
            raise CodecError("it does not decompress to its length")
        if not hasattr(_LOCAL, "decompressor"):
            _LOCAL.decompressor = package.ZstdDecompressor()
        plain = _LOCAL.decompressor.decompress(data, max_output_size=size)
    except package.ZstdError as error:
        raise CodecError(f"it does not decompress ({error})") from error
    if len(plain) != size:
        raise CodecError("it does not decompress to its length")
    return plain


def _unzstd_library(library, data, size: int) -> bytes:
    plain = ctypes.create_string_buffer(size)
    written = library.ZSTD_decompress(plain, size, _address(data), len(data))
    if library.ZSTD_isError(written) or written != size:
        raise CodecError("it does not decompress to its length")
    return plain.raw


_LOCAL = threading.local()
_LOADED = {}


def _zstd_package():
    """The zstandard package, or None."""
    if "package" not in _LOADED:
        try:
            import zstandard
            new_enough = hasattr(zstandard, "ZstdCompressionParameters")
            _LOADED["package"] = zstandard if new_enough else None
        except ImportError:
            _LOADED["package"] = None
    return _LOADED["package"]


def _zstd_library():
    """The system's libzstd, 1.4 (2019) or newer, or None."""
    if "library" not in _LOADED:
        try:
            library = ctypes.CDLL("libzstd.so.1")
            _declare(library)
            _LOADED["library"] = library
        except (OSError, AttributeError):
            _LOADED["library"] = None
    return _LOADED["library"]


def _declare(library) -> None:
    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    for name, result, arguments in (
            ("ZSTD_createCCtx", pointer, ()),
            ("ZSTD_freeCCtx", size, (pointer,)),
            ("ZSTD_CCtx_setParameter", size, (pointer, ctypes.c_int, ctypes.c_int)),
            ("ZSTD_compressBound", size, (size,)),
            ("ZSTD_compress2", size, (pointer, pointer, size, pointer, size)),
            ("ZSTD_decompress", size, (pointer, size, pointer, size)),
            ("ZSTD_isError", ctypes.c_uint, (size,))):
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments


def _address(data):
    """A pointer to the bytes of any bytes-like object, valid as long as the object."""
    if isinstance(data, bytes):
        return data
    try:
        return (ctypes.c_char * len(data)).from_buffer(data)
    except TypeError:       # it is read-only
        return bytes(data)


def _window_log(size: int) -> int:
    return max(_MIN_WINDOW_LOG, (size - 1).bit_length())
