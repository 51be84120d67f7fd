# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cryptographic primitives: AES-256-GCM, X25519, HKDF-SHA-256.

AES and X25519 come from the `cryptography` package, 2.6 (2019) or newer, which is imported on first use: an unencrypted
repository works without it. Until version 3.1 the package demands the backend argument, so it is always given.
"""

import hashlib
import hmac

from ..errors import RepositoryError

KEY_SIZE = 32           # AES-256, X25519, HMAC-SHA-256
NONCE_SIZE = 12         # NIST SP 800-38D: 96 bits
TAG_SIZE = 16
_SLACK = 15             # update_into demands that the output has room for one cipher block more, less one byte


class AuthenticationError(ValueError):
    """A sealed text or what it is bound to was altered, or the key is another."""


def require_cryptography() -> None:
    """Raise RepositoryError when the package for encrypted repositories is not there."""
    try:
        from cryptography.hazmat.primitives.asymmetric import x25519   # pylint: disable=unused-import
    except ImportError as error:
        raise RepositoryError("An encrypted repository needs the Python package cryptography 2.6 or newer on this host "
                              f"(Debian, Ubuntu, RHEL, SUSE: python3-cryptography): {error}.") from error


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int = KEY_SIZE) -> bytes:
    """HKDF with SHA-256, RFC 5869."""
    key = hmac.new(salt, secret, hashlib.sha256).digest()
    output, block, count = b"", b"", 1
    while len(output) < length:
        block = hmac.new(key, block + info + bytes((count,)), hashlib.sha256).digest()
        output += block
        count += 1
    return output[:length]


def scrypt(secret: bytes, salt: bytes, n: int, r: int, p: int) -> bytes:
    """A key of 32 bytes by scrypt (RFC 7914). Raises RepositoryError where this host refuses it (FIPS mode) or has not the memory."""
    try:
        if hasattr(hashlib, "scrypt"):
            return hashlib.scrypt(secret, salt=salt, n=n, r=r, p=p, maxmem=128 * r * (n + p) + (64 << 20), dklen=KEY_SIZE)
        from cryptography.hazmat.backends import default_backend
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
        return Scrypt(salt=salt, length=KEY_SIZE, n=n, r=r, p=p, backend=default_backend()).derive(secret)
    except Exception as error:           # which one depends on Python, the package and OpenSSL
        raise RepositoryError(f"This host cannot derive a key by scrypt ({error!r}); a passphrase slot of type pbkdf2-hmac-sha512 or a "
                              "key file works in FIPS mode.") from error


def sealed_size(length: int) -> int:
    """Size of the buffer that `seal_into` and `open_into` need for a text of `length` bytes."""
    return length + max(TAG_SIZE, _SLACK)


def seal_into(key: bytes, nonce: bytes, bound: bytes, text, output: memoryview) -> int:
    """AES-256-GCM: write ciphertext and tag to the start of `output` (of at least sealed_size bytes); the bytes written.

    `bound` is the associated data. Works without a copy of the text.
    """
    cipher, algorithms, modes, backend, _unused = _aes()
    encryptor = cipher(algorithms.AES(key), modes.GCM(nonce), backend=backend).encryptor()
    encryptor.authenticate_additional_data(bound)
    written = encryptor.update_into(text, output)
    encryptor.finalize()
    output[written:written + TAG_SIZE] = encryptor.tag
    return written + TAG_SIZE


def open_into(key: bytes, nonce: bytes, bound: bytes, sealed, output: memoryview) -> int:
    """Undo `seal_into`: write the text to `output`; the bytes written. Raises AuthenticationError.

    Until this returns, `output` holds nothing that may be used.
    """
    cipher, algorithms, modes, backend, invalid_tag = _aes()
    view = memoryview(sealed)
    if len(view) < TAG_SIZE:
        raise AuthenticationError("it is too short")
    decryptor = cipher(algorithms.AES(key), modes.GCM(nonce, bytes(view[-TAG_SIZE:])), backend=backend).decryptor()
    decryptor.authenticate_additional_data(bound)
    written = decryptor.update_into(view[:-TAG_SIZE], output)
    try:
        decryptor.finalize()
    except invalid_tag:
        raise AuthenticationError("its authentication tag does not match")
    return written


def seal(key: bytes, nonce: bytes, bound: bytes, text: bytes) -> bytes:
    """Ciphertext and tag of a short text."""
    output = bytearray(sealed_size(len(text)))
    return bytes(output[:seal_into(key, nonce, bound, text, memoryview(output))])


def unseal(key: bytes, nonce: bytes, bound: bytes, sealed: bytes) -> bytes:
    """Undo `seal`. Raises AuthenticationError."""
    output = bytearray(sealed_size(len(sealed)))
    return bytes(output[:open_into(key, nonce, bound, sealed, memoryview(output))])


def new_private_key() -> bytes:
    """A fresh X25519 private key, 32 bytes."""
    from cryptography.hazmat.primitives import serialization
    x25519 = _x25519()
    return x25519.X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())


def public_key(private: bytes) -> bytes:
    """The public key that belongs to an X25519 private key."""
    from cryptography.hazmat.primitives import serialization
    key = _x25519().X25519PrivateKey.from_private_bytes(private).public_key()
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def shared_secret(private: bytes, public: bytes) -> bytes:
    """X25519 (RFC 7748). Raises AuthenticationError for a public key of small order."""
    x25519 = _x25519()
    try:
        return x25519.X25519PrivateKey.from_private_bytes(private).exchange(x25519.X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise AuthenticationError("its public key is not valid")


def _x25519():
    require_cryptography()
    from cryptography.hazmat.primitives.asymmetric import x25519
    return x25519


_AES = []


def _aes():
    """Cipher, algorithms, modes, backend and InvalidTag, imported once."""
    if not _AES:
        require_cryptography()
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.backends import default_backend
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
        _AES.append((Cipher, algorithms, modes, default_backend(), InvalidTag))
    return _AES[0]
