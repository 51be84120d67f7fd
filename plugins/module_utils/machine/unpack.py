# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Streaming decompressors for what the Linux kernel accepts as initramfs compression.

Magic numbers: kernel lib/decompress.c. Each decompressor works like those of the standard library: `decompress(data, max_length)` gives
at most `max_length` bytes, `needs_input` tells whether it wants more input first, `eof` that the compressed stream ended, `unused_data`
what followed the end. zstd and lz4 are read by the C libraries libzstd and liblz4, which systemd and package managers bring along.
"""

import bz2
import ctypes
import lzma
import struct
import zlib

from ..errors import MachineError

# First bytes -> name. The kernel looks at two bytes only.
MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"\x1f\x9e", "gzip"),
    (b"BZ", "bzip2"),
    (b"\x5d\x00", "lzma"),
    (b"\xfd7", "xz"),
    (b"\x89L", "lzo"),
    (b"\x02\x21", "lz4"),
    (b"\x28\xb5", "zstd"),
)


def compression(head: bytes) -> str:
    """The name of the compression that data beginning with `head` has, "" when the kernel would not know it either."""
    for magic, name in MAGIC:
        if head.startswith(magic):
            return name
    return ""


def decompressor(name: str):
    """A new decompressor. Raises MachineError when this host cannot unpack the format."""
    if name == "gzip":
        return _Gzip()
    if name == "bzip2":
        return bz2.BZ2Decompressor()
    if name == "xz":
        return lzma.LZMADecompressor(format=lzma.FORMAT_XZ)
    if name == "lzma":
        return lzma.LZMADecompressor(format=lzma.FORMAT_ALONE)
    if name == "zstd":
        return _Zstd()
    if name == "lz4":
        return _Lz4()
    raise MachineError(f"{name} compression is not supported.")


def ends_with_file(unpacker) -> bool:
    """Whether the end of the file is a proper end of what this decompressor was given, although it has not said `eof`."""
    return isinstance(unpacker, _Lz4) and unpacker.drained


def unpacked(data: bytes, limit: int) -> bytes:
    """The content of one compressed stream, such as the file of a kernel module; data in no known compression comes back as it is.

    Raises MachineError when it is damaged, or would be larger than `limit` bytes.
    """
    name = compression(data[:6])
    if not name:
        return data
    unpacker = decompressor(name)
    pieces, size = [], 0
    try:
        while not unpacker.eof:
            piece = unpacker.decompress(data, 1024 * 1024)
            if not piece and not data and not unpacker.eof:
                raise MachineError(f"The {name} data end too early.")
            data = b""
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise MachineError(f"The {name} data unpack to more than {limit} bytes.")
    except ERRORS as error:
        raise MachineError(f"The {name} data are damaged ({error}).")
    return b"".join(pieces)


ERRORS = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError)     # what a decompressor raises on damaged data


def _library(file_name, package):
    try:
        return ctypes.CDLL(file_name)
    except OSError:
        raise MachineError(
            f"This host cannot unpack an initramfs of this compression: {file_name} is missing. Install the package {package}."
        )


class _Gzip:
    """zlib has `unconsumed_tail` where bz2 and lzma have `needs_input`."""

    def __init__(self):
        self._inner = zlib.decompressobj(wbits=31)

    def decompress(self, data, max_length):
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)

    @property
    def needs_input(self):
        return not self._inner.unconsumed_tail and not self._inner.eof

    @property
    def eof(self):
        return self._inner.eof

    @property
    def unused_data(self):
        return self._inner.unused_data


class _ZstdBuffer(ctypes.Structure):
    """ZSTD_inBuffer and ZSTD_outBuffer of zstd.h have this same form."""
    _fields_ = [("pointer", ctypes.c_void_p), ("size", ctypes.c_size_t), ("position", ctypes.c_size_t)]


class _Zstd:
    """One zstd frame, RFC 8878."""

    def __init__(self):
        self.eof = False
        self.unused_data = b""
        self._pending = b""
        self._more = False                                                 # the library still holds output
        self._library = _library("libzstd.so.1", "libzstd1 (libzstd on RPM systems)")
        self._library.ZSTD_createDStream.restype = ctypes.c_void_p
        self._library.ZSTD_freeDStream.argtypes = [ctypes.c_void_p]
        self._library.ZSTD_decompressStream.restype = ctypes.c_size_t
        self._library.ZSTD_decompressStream.argtypes = [ctypes.c_void_p, ctypes.POINTER(_ZstdBuffer), ctypes.POINTER(_ZstdBuffer)]
        self._library.ZSTD_isError.argtypes = [ctypes.c_size_t]
        self._library.ZSTD_isError.restype = ctypes.c_uint
        self._library.ZSTD_getErrorName.argtypes = [ctypes.c_size_t]
        self._library.ZSTD_getErrorName.restype = ctypes.c_char_p
        self._stream = self._library.ZSTD_createDStream()
        self._output = ctypes.create_string_buffer(1)

    def __del__(self):
        if getattr(self, "_stream", None):
            self._library.ZSTD_freeDStream(self._stream)

    @property
    def needs_input(self):
        return not self.eof and not self._pending and not self._more

    def decompress(self, data, max_length):
        data = self._pending + data
        if len(self._output) != max_length:
            self._output = ctypes.create_string_buffer(max_length)
        source = ctypes.create_string_buffer(data, len(data)) if data else ctypes.create_string_buffer(1)
        incoming = _ZstdBuffer(ctypes.cast(source, ctypes.c_void_p), len(data), 0)
        outgoing = _ZstdBuffer(ctypes.cast(self._output, ctypes.c_void_p), max_length, 0)
        while outgoing.position < max_length:
            before = (incoming.position, outgoing.position)
            result = self._library.ZSTD_decompressStream(self._stream, ctypes.byref(outgoing), ctypes.byref(incoming))
            if self._library.ZSTD_isError(result):
                raise ValueError("zstd: " + self._library.ZSTD_getErrorName(result).decode("ascii", "replace"))
            if result == 0:
                self.eof = True
                self.unused_data = data[incoming.position:]
                break
            if incoming.position == len(data) and outgoing.position < max_length or before == (incoming.position, outgoing.position):
                break
        self._pending = b"" if self.eof else data[incoming.position:]
        self._more = not self.eof and outgoing.position == max_length
        return ctypes.string_at(self._output, outgoing.position)


class _Lz4:
    """lz4's legacy frame, the only one that the kernel reads: magic, then blocks of at most 8 MiB, each with its packed size in front.

    Format: lz4 doc/lz4_Frame_format.md, "Legacy frame". It has no end mark: it ends with the file, or (kernel 5.8 and newer,
    lib/decompress_unlz4.c) at a block size of 0, which is what padding looks like. A second legacy frame may follow at once; it
    continues the first.
    """

    BLOCK = 8 * 1024 * 1024
    PACKED_LIMIT = BLOCK + BLOCK // 255 + 16                # LZ4_COMPRESSBOUND
    NUMBER = 0x184C2102

    def __init__(self):
        self.eof = False
        self.unused_data = b""
        self._input = bytearray()
        self._ready = b""                                   # unpacked, not yet asked for
        self._position = 0
        self._library = _library("liblz4.so.1", "liblz4-1 (lz4-libs on RPM systems)")
        self._library.LZ4_decompress_safe.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int]
        self._block = ctypes.create_string_buffer(self.BLOCK)

    @property
    def needs_input(self):
        return not self.eof and self._position >= len(self._ready) and not self._whole_block()

    def decompress(self, data, max_length):
        self._input += data
        while self._position >= len(self._ready) and not self.eof and self._whole_block():
            self._next_block()
        piece = self._ready[self._position:self._position + max_length]
        self._position += len(piece)
        return piece

    @property
    def drained(self):
        return not self._input and self._position >= len(self._ready)

    def _size(self):
        return struct.unpack_from("<I", self._input)[0] if len(self._input) >= 4 else None

    def _whole_block(self):
        size = self._size()
        return size is not None and (size in (0, self.NUMBER) or size > self.PACKED_LIMIT or len(self._input) >= 4 + size)

    def _next_block(self):
        size = self._size()
        if size == self.NUMBER:
            del self._input[:4]
        elif size == 0:
            self.eof = True
            self.unused_data = bytes(self._input)
        elif size > self.PACKED_LIMIT:
            raise ValueError("lz4: a block is longer than the format allows")
        else:
            got = self._library.LZ4_decompress_safe(bytes(self._input[4:4 + size]), self._block, size, self.BLOCK)
            if got < 0:
                raise ValueError("lz4: damaged block")
            del self._input[:4 + size]
            self._ready = ctypes.string_at(self._block, got)
            self._position = 0
