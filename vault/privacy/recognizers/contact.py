"""How to reach a person: e-mail, phone, web and network addresses, user names.

Phones by our own patterns: a word near, a leading + or 00 or bracket, or several separators.
libphonenumber would find more, and twice as many numbers that are no phones.
"""

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from policies.privacy import EntityType
from vault.privacy.findings import Finding
from vault.privacy.recognizers.near import near, words

_DIGIT: Final = re.compile(r"[0-9]")
_EMAIL: Final = re.compile(
    r"(?<![\w.+%'-])[\w.+%'-]{1,64}(?:@|%40)(?:\[[0-9a-fA-F.:]{2,45}\]|[\w-]{1,63}(?:\.[\w-]{1,63}){1,8})"
)
_BREAK: Final = r"=?\r?\n[ \t>]{0,4}"
"""The end of a line, a soft one of quoted-printable text as well, and the quotation marks of the next."""
_EMAIL_SPELT: Final = re.compile(
    r"(?<![\w.+-])[\w.+-]{2,64} {0,2}(?:\(at\)|\[at\]|\{at\}| at ) {0,2}[\w-]{2,63} {0,2}(?:\(dot\)|\[dot\]|\{dot\}| dot |\.) {0,2}"
    r"(?:com|org|net|edu|gov|info|io|co|uk|de|fr|es|it|nl|eu|ch|us|ca|au)(?![\w])",
    re.IGNORECASE,
)
_TLD: Final = (
    "com|org|net|edu|gov|mil|info|biz|name|app|dev|shop|online|site|store|blog|tech|cloud|email|health|bank|news|club|live|xyz|"
    "uk|us|ca|au|nz|ie|de|fr|es|it|nl|be|ch|at|dk|se|no|fi|pl|cz|pt|gr|hu|ro|ru|ua|tr|il|in|cn|jp|kr|br|mx|ar|cl|za|eu|io|co|ai|tv|me|"
    "sk|si|hr|bg|lt|lv|ee|lu|is|hk|sg|tw|th|vn|id|ph|my|ae|sa|eg|ng|ke|tn|gl|cy|mt|li"
)
_LABEL: Final = r"[\w-]{1,63}"
_PLAIN_TLD: Final = r"(?-i:com|org|net|edu|gov|biz|uk|fr|nl|ch|eu|ca|au)"
"""Endings that no sentence begins with."""
_EMAIL_BROKEN: Final = re.compile(
    rf"(?<![\w.+%'-])[\w.+%'-]{{1,64}}(?:(?:{_BREAK}@|@{_BREAK})(?:{_LABEL}\.){{1,5}}(?:{_TLD})"
    rf"|@(?:{_LABEL}{_BREAK}(?:{_LABEL}\.){{1,5}}|(?:{_LABEL}\.){{0,4}}{_LABEL}(?:{_BREAK}\.|\.{_BREAK}))"
    rf"{_PLAIN_TLD})(?![\w-]|\.[\w])",
    re.IGNORECASE,
)
"""An address that a line break split at its sign, within its first label or before its ending."""
_URL: Final = re.compile(
    r"(?<![\w@])(?:(?:https?|ftp|ftps|sftp|ssh|git|wss?)://|www\.)[^\s<>\"'`{}|\\^\[\]]{3,2000}",
    re.IGNORECASE,
)
_DOMAIN: Final = re.compile(
    rf"(?<![\w@./$-])(?:[a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?\.){{1,5}}(?:{_TLD})(?![\w-]|\.[\w]|\()(?:/[^\s<>\"'`{{}}|\\^\[\]]{{0,500}})?",
    re.IGNORECASE,
)
_URL_TAIL: Final = re.compile(r"[.,;:!?)\]]+$")
_IPV4: Final = re.compile(
    r"(?<![\w.])(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?![\w]|\.[0-9])"
)
_IPV6: Final = re.compile(
    r"(?<![\w:.])[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}(?:(?<=:)[0-9.]{7,15})?(?![\w:])"
)
_VERSION: Final = words("version", "v", "ver", "release", "upgrade(?:d)? to", "section")
_MAC: Final = re.compile(
    r"(?<![\w:-])[0-9a-fA-F]{2}(?:([:-])[0-9a-fA-F]{2})(?:\1[0-9a-fA-F]{2}){4}(?![\w:-])"
)
_HANDLE: Final = re.compile(r"(?<![\w@/.])@[A-Za-z_][\w.]{2,30}\b(?!\.?[\w]*\()")
_USERNAME: Final = re.compile(
    r"\b(?:user ?name|user id|login(?: name| id)?|screen ?name|(?:skype|twitter|instagram|insta|snapchat|telegram|discord|github)(?: (?:handle|id|name|user(?:name)?|account))?)"
    r"\s{0,2}(?::|=|\bis\b)\s{0,2}[\"'@]?([\w][\w.-]{2,31})\b(?![(/])",
    re.IGNORECASE,
)

_PHONE: Final = re.compile(
    r"(?<![\w.,:/$€£#=-])(?:\+ ?|\(\+?)?[0-9](?:[ ]?[.\-/()]?[.\-/()]?[ ]?[0-9]){5,16}(?![\w]|[.,:/-][0-9])(?: ?(?:x|ext\.?|extension) ?[0-9]{1,6})?",
    re.IGNORECASE,
)
_PHONE_LOOSE: Final = re.compile(
    r"(?<![\w.,:/$€£#=-])\+?\(?[0-9]{1,5}(?:[\s._·/()-]{1,3}[0-9]{2,5}){2,5}(?![\w])"
)
_LOOSE: Final = re.compile(r"[_·\t\n\r]")
_PHONE_WORD: Final = words(
    "phones?", "telephones?", "tel", "cell(?:phone)?", "mobile", "mob", "fax", "call(?:ed|s|ing)?", "dial(?:ed|ing|led)?", "text(?:ed|ing)?", "sms", "whats ?app", "ring", "reach(?:ed)?(?: me| us| him| her| them)?",
    "answering", "hotline", "landline", "voice ?mail", "contact(?: number)?", "my number", "(?:his|her|their|our|your|the) number", "number is", "numbers? (?:at|for)", "emergency contact", "office", "extension", "pager", "helpline", "direct line", "handy", "telefon", "signal", "viber",
)  # fmt: skip
_NO_PHONE: Final = words(
    "order", "invoice", "isbn", "account", "acct", "tracking", "ticket", "ref", "reference", "id", "mrn", "serial", "version", "commit", "build", "pid", "port", "policy", "claim", "iban", "ssn", "case",
    "error", "line", "bytes", "rows", "case", "zip", "code",
)  # fmt: skip
_DATE_LIKE: Final = re.compile(
    r"(?:19|20)[0-9]{2}[-/.][01]?[0-9][-/.][0-3]?[0-9]|[0-3]?[0-9][-/.][0-3]?[0-9][-/.](?:19|20)?[0-9]{2}|(?:19|20)[0-9]{2} ?[-/] ?(?:19|20)[0-9]{2}"
)
_GROUPS: Final = re.compile(r"[0-9]+")


def find(text: str) -> Iterator[Finding]:
    """Yield findings about ways to reach a person; each family costs one search where nothing speaks for it."""
    yield from _mail(text)
    if "." in text:
        yield from _web(text)
    for match in _USERNAME.finditer(text):
        yield Finding(EntityType.USERNAME, *match.span(1), 0.7)
    if _DIGIT.search(text):
        yield from _network(text)
        yield from _phones(text)
        yield from _loose_phones(text)
    elif "::" in text:
        yield from _network(text)


def _finding(kind: EntityType, match: re.Match[str], score: float) -> Finding:
    """Return a finding over the match, less punctuation that ends the sentence."""
    tail = _URL_TAIL.search(match.group())
    return Finding(kind, match.start(), match.end() - (len(tail.group()) if tail else 0), score)


def _mail(text: str) -> Iterator[Finding]:
    """E-mail addresses as written, broken or spelt, and names after an @."""
    if "@" in text or "%40" in text:
        for match in _EMAIL.finditer(text):
            yield _finding(EntityType.EMAIL, match, 1.0)
        for match in _HANDLE.finditer(text):
            yield _finding(EntityType.USERNAME, match, 0.5)
        for match in _EMAIL_BROKEN.finditer(text) if "\n" in text else ():
            yield _finding(EntityType.EMAIL, match, 0.9)
    if "at" in text or "AT" in text:
        for match in _EMAIL_SPELT.finditer(text):
            yield _finding(EntityType.EMAIL, match, 0.8)


def _web(text: str) -> Iterator[Finding]:
    """Web addresses with a scheme or www, and bare domains of known endings."""
    for match in _URL.finditer(text):
        yield _finding(EntityType.URL, match, 0.9)
    for match in _DOMAIN.finditer(text):
        yield _finding(EntityType.URL, match, 0.6)


def _network(text: str) -> Iterator[Finding]:
    """Internet and hardware addresses; loopback and unspecified ones name nobody."""
    for pattern in (_IPV4, _IPV6):
        for match in pattern.finditer(text):
            if near(text, *match.span(), _VERSION, before=12, after=0) or not _is_host(match.group()):
                continue
            yield Finding(EntityType.IP_ADDRESS, *match.span(), 0.95)
    for match in _MAC.finditer(text):
        yield Finding(EntityType.DEVICE, *match.span(), 0.95)


def _is_host(value: str) -> bool:
    """Tell whether `value` is the address of some host."""
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)


def _phones(text: str) -> Iterator[Finding]:
    """Numbers of six to fifteen digits that something marks as a phone."""
    for match in _PHONE.finditer(text):
        value = match.group()
        groups = _GROUPS.findall(value)
        digits = sum(map(len, groups))
        if not 6 <= digits <= 19 or _DATE_LIKE.fullmatch(value) or len(set(value)) < 3:  # noqa: PLR2004 (E.164 has 15 at most, and an extension)
            continue
        score = _phone_score(text, match, groups, digits)
        if score:
            yield Finding(EntityType.PHONE, match.start(), match.start() + len(value.rstrip(" .-/(")), score)


def _loose_phones(text: str) -> Iterator[Finding]:
    """Numbers that tabs, middle dots or underscores separate, with a phone's word near; on several lines only after a plus."""
    for match in _PHONE_LOOSE.finditer(text):
        digits = sum(map(str.isdigit, match.group()))
        if (
            8 <= digits <= 15  # noqa: PLR2004 (E.164 has 15 at most)
            and _LOOSE.search(match.group())
            and (match.group().startswith("+") or "\n" not in match.group())
            and near(text, *match.span(), _PHONE_WORD, before=36)
        ):
            yield Finding(EntityType.PHONE, *match.span(), 0.8)


def _phone_score(text: str, match: re.Match[str], groups: list[str], digits: int) -> float:
    """Return how much speaks for a phone: 0 for nothing."""
    value = match.group()
    if near(text, *match.span(), _PHONE_WORD, before=36):
        return 0.9
    if near(text, *match.span(), _NO_PHONE, before=24, after=0):
        return 0.0
    if value.startswith(("+", "(")) and digits >= 7:  # noqa: PLR2004 (shorter in brackets is a list or a sum)
        return 0.8
    separated = len(groups) >= 3 and all(2 <= len(group) <= 5 for group in groups[1:])  # noqa: PLR2004 (two separators)
    if separated and 8 <= digits <= 14:  # noqa: PLR2004 (as phones are written)
        return 0.6
    if value.startswith("0") and 9 <= digits <= 14 and len(groups) <= 4:  # noqa: PLR2004 (trunk prefix)
        return 0.5
    return 0.5 if len(groups) == 2 and digits in {10, 11} and len(groups[0]) in {3, 5} else 0.0  # noqa: PLR2004
