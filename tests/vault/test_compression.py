"""Content of reference memory comes back as it was, in fewer bytes, and nothing else passes for it."""

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from vault.compression import compressed, expanded
from vault.content import decode_text
from vault.errors import TamperedError

FRAME = "28b52ffd20363501004282070cd03d80d48a55f2034007c25a196b2d5f90da7361c0ab5e9ce5ffcc270d0100ac37c7"
FORM = (
    '{"v":1,"o":"agent-7","r":"user","a":1767225600000000,"s":[0,98],"w":"Caroline","f":"","m":[],'
    '"st":[[0,27,0],[28,62,1],[63,98,1]],"k":["inspiring stories","knee"],"e":null,"t":[]}'
)


@given(st.binary() | st.text().map(str.encode) | st.text().map(lambda text: (text * 50).encode()))
def test_what_is_compressed_comes_back(content: bytes) -> None:
    if not content.startswith(b"\x28\xb5\x2f\xfd"):
        assert expanded(compressed(content)) == content
        assert len(compressed(content)) <= len(content)


@given(st.text())
def test_no_text_looks_compressed(text: str) -> None:
    assert not text.encode().startswith(b"\x28\xb5\x2f\xfd")
    assert decode_text(text.encode()) == text


def test_it_is_smaller_and_is_not_compressed_twice() -> None:
    once = compressed(FORM.encode())
    assert len(once) < len(FORM) / 2, "the dictionary knows the form"
    assert compressed(once) == once


def test_a_frame_of_today_is_opened_for_ever() -> None:
    """The dictionary is part of the format: this frame was made by its first version."""
    frame = bytes.fromhex(FRAME)
    assert expanded(frame).decode() == "the knee is better, and the knee is better than it was"


@pytest.mark.parametrize(
    "wrong",
    [
        b"\x28\xb5\x2f\xfd",
        b"\x28\xb5\x2f\xfd" + bytes(40),
        compressed(FORM.encode())[:-3],
        compressed(FORM.encode()) + b"more",
        zstandard.ZstdCompressor(write_content_size=False).compress(b"some of no size" * 9),
        zstandard.ZstdCompressor().compress(bytes(65 * 1024 * 1024)),
    ],
)
def test_what_only_looks_compressed_is_refused(wrong: bytes) -> None:
    with pytest.raises(TamperedError):
        expanded(wrong)


def test_a_text_that_is_no_utf_8_is_refused() -> None:
    with pytest.raises(TamperedError):
        decode_text(b"\xff\xfe")
    with pytest.raises(TamperedError):
        decode_text(compressed(b"\xff" * 400))
