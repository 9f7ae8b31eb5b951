"""Segments of HLS, encrypted by OpenSSL and decrypted here."""

import io
import shutil
import subprocess

import pytest

from edge_hoi.ingest.aes import CbcReader

KEY, IV = bytes(range(16)), bytes(range(100, 116))


def encrypted(data):
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to encrypt with")
    return subprocess.run(
        [openssl, "enc", "-aes-128-cbc", "-K", KEY.hex(), "-iv", IV.hex()], input=data, capture_output=True, check=True
    ).stdout


class Dripping(io.BytesIO):
    """Gives a few bytes at a time, as a network does."""

    def read(self, size):
        return super().read(min(size, 7))


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 31, 32, 33, 1000])
@pytest.mark.parametrize("file", [io.BytesIO, Dripping])
@pytest.mark.parametrize("size", [17, 32, 100, 32768])
def test_reads_of_any_size_give_the_data_and_no_more_than_asked_for(length, file, size):
    data = bytes(number % 251 for number in range(length))
    reader, parts = CbcReader(file(encrypted(data)), KEY, IV), []
    while part := reader.read(size):
        assert len(part) <= size
        parts.append(part)
    assert b"".join(parts) == data
    assert reader.read(size) == b""


def test_data_that_ends_early_gives_its_whole_blocks():
    reader = CbcReader(io.BytesIO(encrypted(bytes(100))[:40]), KEY, IV)
    assert b"".join(iter(lambda: reader.read(100), b"")) == bytes(32)


@pytest.mark.parametrize(("key", "iv"), [(KEY[1:], IV), (KEY, IV[1:]), (b"", b"")])
def test_keys_of_other_lengths_are_refused(key, iv):
    with pytest.raises(ValueError, match="needs a key and a vector of 16 bytes"):
        CbcReader(io.BytesIO(), key, iv)
