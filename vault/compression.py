"""Content of reference memory in fewer bytes, before it is sealed.

Owns the form: a Zstandard frame (RFC 8878), or the bytes as they were where a frame would not be shorter. A frame is
told by its magic number, which begins neither UTF-8 nor our JSON; so what is compressed needs no mark elsewhere.

Short texts gain by what both sides know beforehand: the dictionary is raw content, the skeleton of what is sealed.
It is part of the format for ever; a better one would get a magic number of its own.

Threat: the length of a sealed field tells how well its content compresses. A field holds what one writer said in one
place, never a secret beside somebody else's text, so nobody learns one by guessing at the other (CRIME, RFC 9325).
"""

from typing import Final

import zstandard

from vault.errors import TamperedError

MAX_EXPANDED: Final = 64 * 1024 * 1024
"""Bytes of one field at most. Threat: a small frame that expands without end."""
_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_LEVEL: Final = 19
"""What is archived is written once, and read seldom."""
_KNOWN: Final = zstandard.ZstdCompressionDict(
    b'{"v":1,"x":{"text":[" ","ref":[],"speaker":["assistant","system","tool","user"]}}'
    b'"EMAIL","PHONE","PERSON","PLACE","DATE","ADDRESS",'
    b'"w":["user",[["PERSON",[0,10]]]],"f":"","m":[["PERSON",[10,24]],["DATE",[30,44]]],"st":[[0,27,0],[28,62,1]],'
    b'"k":["'
    b'","e":null,"t":[[0,9,1767225600000000,1767312000000000]]}'
    b'{"v":1,"o":"agent-1","r":"user","a":1767225600000000,"s":[0,98],"w":"","f":"","m":[],"st":[[0,27,0],[28,62,0],'
    b'[63,98,1]],"k":["","e":null,"t":[]}',
    dict_type=zstandard.DICT_TYPE_RAWCONTENT,
)


def compressed(content: bytes) -> bytes:
    """Return content in fewer bytes, or as it is."""
    if content.startswith(_MAGIC):
        return content
    compressor = zstandard.ZstdCompressor(level=_LEVEL, dict_data=_KNOWN)
    frame = compressor.compress(content)
    return frame if len(frame) < len(content) else content


def expanded(content: bytes) -> bytes:
    """Return content as it was before `compressed`.

    Raises:
        TamperedError: it looks compressed, and is not.
    """
    if not content.startswith(_MAGIC):
        return content
    try:
        if not 0 <= zstandard.frame_content_size(content) <= MAX_EXPANDED:
            raise TamperedError(f"compressed content says no size, or one of more than {MAX_EXPANDED} bytes")
        decompressor = zstandard.ZstdDecompressor(dict_data=_KNOWN)
        return decompressor.decompress(content, allow_extra_data=False)
    except zstandard.ZstdError:
        raise TamperedError("this content is compressed in another form than ours") from None
