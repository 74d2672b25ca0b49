"""Every parser of the room, given noise and near misses: a value or its own error, nothing else."""

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audit.canonical import canonical, parse_canonical
from audit.checkpoint import Checkpoint, parse_checkpoint
from audit.errors import MalformedError, PayloadMalformedError
from audit.event import encode_entry, parse_header
from audit.merkle import CompactRange
from audit.note import parse_note, sign_note
from audit.signing import SignerKey, VerifierKey
from tests.simulators.small_deployment import LOG_KEY, draft

CHECKPOINT = Checkpoint("memos-vault/ward-1/clinic-a", 5, bytes(32)).encode()


PARSERS: dict[str, tuple[Callable[[str], object], str]] = {
    "canonical JSON": (parse_canonical, canonical({"memories": ["mem_aaaaaaaa", 1, None], "x": {"y": True}})),
    "checkpoint": (parse_checkpoint, CHECKPOINT),
    "header": (parse_header, encode_entry(draft(resource="mem_aaaaaaaa"), bytes(32)).header),
    "note": (
        lambda text: parse_note(text.encode(errors="surrogatepass")),
        sign_note(CHECKPOINT, [LOG_KEY]).decode(),
    ),
    "signer key": (SignerKey.parse, LOG_KEY.encode()),
    "verifier key": (VerifierKey.parse, str(LOG_KEY.verifier)),
}


@pytest.mark.parametrize("name", sorted(PARSERS.keys() - {"canonical JSON"}))
@given(text=st.text())
@example(text="\ud800")
@example(text="[" * 50_000)
@example(text="9" * 50_000)
def test_noise_is_refused_with_the_rooms_own_error(name: str, text: str) -> None:
    parse, _ = PARSERS[name]
    with pytest.raises(MalformedError, match="expected"):
        parse(text)


@pytest.mark.parametrize("name", PARSERS)
@given(start=st.integers(0, 400), length=st.integers(0, 40), middle=st.text(max_size=5))
def test_a_near_miss_is_refused_or_reads_as_something_else(
    name: str, start: int, length: int, middle: str
) -> None:
    parse, good = PARSERS[name]
    start %= len(good)
    changed = good[:start] + middle + good[start + length :]
    try:
        read = parse(changed)
    except MalformedError as error:
        assert "expected" in str(error)  # noqa: PT017 - refusing is one of two right answers
    else:
        assert (read == parse(good)) == (changed == good)


@given(st.text() | st.text('[]{},:"0123456789', max_size=12))
@example("[" * 50_000)
def test_noise_is_canonical_json_only_if_it_is_written_so(text: str) -> None:
    try:
        value = parse_canonical(text)
    except PayloadMalformedError:
        return
    assert canonical(value) == text


@given(st.integers(-5, 2**64), st.binary(max_size=200))
def test_a_compact_range_of_noise_is_refused_unless_it_fits(size: int, nodes: bytes) -> None:
    try:
        assert CompactRange.decode(size, nodes).encode() == nodes
    except MalformedError:
        assert size < 0 or size.bit_length() > 63 or size.bit_count() * 32 != len(nodes)
