import zlib

import brotli
import pytest
import zstandard

from gateway.request.compression import CODINGS, choose_coding


@pytest.mark.parametrize(
    ("accept_encoding", "coding"),
    [
        ("", None),
        ("gzip", "gzip"),
        ("gzip, deflate", "gzip"),
        ("gzip, deflate, br", "br"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("GZIP", "gzip"),
        ("gzip;q=1, zstd;q=0.5", "gzip"),
        ("gzip;q=0", None),
        ("gzip;q=0, *", None),
        ("*", "gzip"),
        ("*;q=0", None),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.1, gzip;q=0.5", "gzip"),
        ("identity;q=0, br", "br"),
        ("deflate, compress", None),
        ("zstd;q=nonsense, br;q=2", None),
        (";;,=,", None),
    ],
)
def test_the_best_coding_that_the_client_takes_is_chosen(accept_encoding, coding):
    assert choose_coding(accept_encoding) == coding


@pytest.mark.parametrize(
    ("coding", "read"),
    [
        ("zstd", lambda sent: zstandard.ZstdDecompressor().decompress(sent)),
        ("br", brotli.decompress),
        ("gzip", lambda sent: zlib.decompress(sent, 31)),
    ],
)
def test_each_coding_gives_back_what_went_in_and_equal_bytes_for_equal_bytes(coding, read):
    body = '{"title":"Чайка"}'.encode() * 500
    sent = CODINGS[coding](body)
    assert len(sent) < len(body) / 10
    assert read(sent) == body
    assert CODINGS[coding](body) == sent
