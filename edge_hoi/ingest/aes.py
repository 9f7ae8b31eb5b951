"""Decrypt segments of HLS (AES-128 in CBC mode with PKCS7 padding: RFC 8216, section 4.3.2.4) with FFmpeg's functions."""

import ctypes
import weakref
from typing import Protocol

from edge_hoi.ingest.ffmpeg_options import ffmpeg_library

_BLOCK = 16


class _Readable(Protocol):
    def read(self, size: int) -> bytes: ...

    def close(self) -> None: ...


class CbcReader:
    """The decrypted contents of a file."""

    def __init__(self, file: _Readable, key: bytes, iv: bytes) -> None:
        """Take an encrypted file.

        Args:
            file: Is read, and closed with this.
            key: 16 bytes.
            iv: The initial vector, 16 bytes.

        Raises:
            ValueError: The key or the vector has another length.
        """
        if len(key) != _BLOCK or len(iv) != _BLOCK:
            raise ValueError(f"AES-128 needs a key and a vector of {_BLOCK} bytes, got {len(key)} and {len(iv)}")
        self._file = file
        self._rest = b""
        self._library = ffmpeg_library()
        self._library.av_aes_alloc.restype = ctypes.c_void_p
        self._aes = ctypes.c_void_p(self._library.av_aes_alloc())
        self._iv = ctypes.create_string_buffer(iv, _BLOCK)
        weakref.finalize(self, self._library.av_free, self._aes)
        self._library.av_aes_init(self._aes, key, _BLOCK * 8, 1)

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; none at the end. `size` must be more than 16."""
        while True:
            data = self._file.read(size - _BLOCK)
            self._rest += data
            # The last block is kept until the end is known, because it contains the padding.
            count = (len(self._rest) - bool(data)) // _BLOCK
            if count or not data:
                break
        plain = self._decrypt(self._rest[: count * _BLOCK])
        self._rest = self._rest[count * _BLOCK :] if data else b""
        padding = plain[-1] if plain and not data else 0
        return plain[: len(plain) - padding] if padding <= _BLOCK else plain

    def close(self) -> None:
        """Close the encrypted file."""
        self._file.close()

    def _decrypt(self, data: bytes) -> bytes:
        plain = ctypes.create_string_buffer(len(data))
        self._library.av_aes_crypt(self._aes, plain, data, len(data) // _BLOCK, self._iv, 1)
        return plain.raw
