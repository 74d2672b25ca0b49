"""Street addresses, units, boxes and postcodes, in the forms of many countries.

Cities, regions and countries are the tagger's part; here stand the forms that a pattern can prove.
"""

import re
from collections.abc import Iterator
from typing import Final

from policies.privacy import EntityType
from vault.privacy.findings import Finding
from vault.privacy.recognizers.near import near, words

_DIGIT: Final = re.compile(r"[0-9]")
_SUFFIX: Final = (
    r"(?:street|st|road|rd|avenue|ave|av|boulevard|blvd|lane|ln|drive|dr|court|ct|place|pl|square|sq|terrace|ter|way|parkway|pkwy|highway|hwy|circle|cir|crescent|cres|close|grove|gardens|"
    r"alley|row|walk|mews|plaza|loop|trail|trl|bend|ridge|hill|hills|heights|view|park|point|pike|turnpike|expressway|freeway|crossing|crossroad|crossroads|bypass|causeway|junction|"
    r"landing|manor|meadow|meadows|mill|oval|pass|path|promenade|quay|run|shore|spur|station|summit|valley|village|vista|wharf|gateway|gate|green|estate|estates|field|fields|island|isle|"
    r"knoll|lake|lodge|mall|mount|mountain|motorway|neck|orchard|overpass|parade|parkways|ports?|prairie|rapid|rest|route|rue|skyway|springs?|squares|stravenue|stream|throughway|trace|track|"
    r"trafficway|tunnel|underpass|union|viaduct|ville|wells?|coves?|canyon|cape|cliffs?|common|corner|course|creek|dale|dam|divide|falls|ferry|flat|ford|forest|forge|fork|fort|glen|haven|hollow|inlet|key|locks|"
    r"nove|garth|vale|end|drove|broadway)"
)
_WORD: Final = r"[^\W\d_][\w'.-]{0,30}"
_EUROPEAN: Final = (
    r"(?:stra(?:ß|ss)e|str\.|weg|platz|gasse|allee|ring|damm|ufer|steig|chaussee|straat|laan|plein|gracht|kade|dijk|steeg|singel|vej|gade|allé|all[eé]en|stræde|vænge|gate|gata|gatan|vei|veien|vegen|veg|"
    r"v[aä]gen|v[aä]g|gr[aä]nd|stigen|stien|stig|torg|torget|plats|katu|tie|kuja|polku|raitti|tanav|tn|maantee|puiestee|braut|vegur|gata|g[oö]tu|hl[ií][dð]|t[uú]n|holt|utca|[uú]t|t[eé]r|k[oö]z|"
    r"ulice|n[aá]m[eě]st[ií]|t[rř][ií]da|cesta|ulica|trg|aleja|plac|sokak|caddesi|mahallesi|straße|bakke|bakken|haugen|vangen|toften|parken|lunden|svingen|haven|engen|marken|mose|ager|bro|havn|strand)"
)
_LEADING: Final = (
    r"(?:rue|avenue|boulevard|all[eé]e|place|chemin|impasse|quai|cours|route|via|viale|piazza|corso|largo|vicolo|strada|calle|c/|avenida|avda\.?|av\.|paseo|plaza|camino|carrera|carretera|pasaje|"
    r"rua|travessa|estrada|pra[cç]a|alameda|ul\.|ulica|al\.|aleja|pl\.|os\.|ulitsa|str\.|strada|bulevardul|aleea|ronda|rambla|carrer|jalan|jl\.|kp\.|rruga|odos|plateia|am|an der|auf der|im|in der|zum|zur|alter|alte|unter den)"
)
_NUMBER: Final = r"[0-9]{1,6}(?:[ -]?[A-Za-z](?![\w]))?(?:[/-][0-9]{1,5}[A-Za-z]?)?\.?"
_UNIT: Final = r"(?:(?:apt|apartment|suite|ste|unit|flat|room|rm|floor|fl|no|bldg|building|lot|apto|appt|app|wohnung|whg|door|piso|int)\.?\s?#?\s?[0-9][0-9A-Za-z-]{0,7}|#\s?[0-9][0-9A-Za-z-]{0,7}(?=[\s,.]))"

_STREET_NUMBER_FIRST: Final = re.compile(
    rf"(?<![\w.,/-])(?:[0-9]{{1,6}}\s)?{_NUMBER},? (?:(?:n|s|e|w|ne|nw|se|sw|north|south|east|west)\.? )?(?:{_WORD} ){{1,4}}?{_SUFFIX}\b\.?(?: (?:n|s|e|w|ne|nw|se|sw|north|south|east|west)\b\.?)?",
    re.IGNORECASE,
)
_STREET_ORDINAL: Final = re.compile(
    rf"(?<![\w.,/-]){_NUMBER} (?:(?:n|s|e|w|ne|nw|se|sw|north|south|east|west)\.? )?[0-9]{{1,3}}(?:st|nd|rd|th) {_SUFFIX}\b\.?",
    re.IGNORECASE,
)
_STREET_NUMBER_LAST: Final = re.compile(
    rf"(?<![\w])(?:[0-9]{{1,6}}\s)?(?:{_WORD}[ ]){{0,3}}?[^\W\d_][\w'.-]{{0,40}}?[ ]?{_EUROPEAN}\.? {_NUMBER}(?![\w])",
    re.IGNORECASE,
)
_STREET_LEADING: Final = re.compile(
    rf"(?<![\w])(?:[0-9]{{1,6}}\s){{0,2}}{_LEADING} (?:{_WORD}[ ]){{0,4}}?{_WORD},? {_NUMBER}(?![\w])",
    re.IGNORECASE,
)
_STREET_LEADING_FIRST: Final = re.compile(
    r"(?<![\w.,/-])[0-9]{1,5}(?: ?(?:bis|ter))?,? (?:rue|avenue|boulevard|all[eé]e|place|chemin|impasse|quai|cours|via|viale|piazza|calle)(?: (?:d[eu]s?|de la|du|della|del|la|le|les))?(?: [^\W\d_][\w'.-]{1,30}){1,4}",
    re.IGNORECASE,
)
_STREET_NAMED: Final = re.compile(
    rf"(?<![\w])(?:[A-Z][\w'.-]{{1,30}} ){{1,3}}(?:Street|Road|Avenue|Boulevard|Lane|Drive|Crescent|Terrace|Parkway|Highway|Rd|Ave|Blvd|Ln|Hwy|Pkwy)\b\.?(?: {_NUMBER}(?![\w]))?"
)
_STREET_PLAIN: Final = re.compile(
    r"(?<![\w.,/-])[0-9]{1,6} [A-Z][\w'-]{2,30}(?: [A-Z][\w'-]{1,30}){0,3}(?=,? (?:[0-9]{1,5},? )?(?:Apt|Suite|Unit|Apartment|Flat)\b)"
)
_UNITS: Final = re.compile(rf"(?<![\w]){_UNIT}(?![\w])", re.IGNORECASE)
_UNIT_NAMED: Final = words(
    "apt", "apartment", "suite", "ste", "unit", "flat", "room", "bldg", "building", "lot", "apto", "wohnung"
)
_UNIT_CONTEXT: Final = words(
    "street",
    "st",
    "road",
    "avenue",
    "ave",
    "address",
    "lives?",
    "live",
    "moved?",
    "apt",
    "apartment",
    "suite",
    "flat",
    "box",
    "deliver(?:y|ed)?",
    "ship(?:ped)?",
)
_BOX: Final = re.compile(
    r"(?<![\w])(?:(?:p\.? ?o\.?|post office|postal) ?box ?#?\s?[0-9]{1,8}|(?:psc|unit|cmr) [0-9]{1,6},? box [0-9]{1,6}|postfach [0-9 ]{2,9}|bo[iî]te postale [0-9]{1,6}|(?:private )?bag x?[0-9]{1,6}|apartado [0-9]{1,6}|casilla [0-9]{1,6}|rr ?[0-9]{1,3} box [0-9]{1,5})(?![\w])",
    re.IGNORECASE,
)
_MILITARY: Final = re.compile(
    r"(?<![\w])(?:apo|fpo|dpo),? (?:aa|ae|ap)(?:,? [0-9]{5}(?:-[0-9]{4})?)?(?![\w])", re.IGNORECASE
)
_SHIP: Final = re.compile(
    r"(?<![\w])us(?:ns|s|cgc|nv|s) [A-Z][\w'-]{1,30}(?: [A-Z][\w'-]{1,30})?(?=\s{1,3}(?:apo|fpo|dpo)\b)",
    re.IGNORECASE,
)
_CORNER: Final = re.compile(
    r"\b(?:corner|intersection|junction) of ((?:[\w'.-]{1,30} ){1,5}?(?:and|&) (?:[A-Z0-9][\w'.-]{0,30} ?){1,4})"
)

_POSTCODE_NAMED: Final = re.compile(
    r"\b(?:zip|zip ?code|post ?code|postal ?code|postcode|plz|cap|cep|pin ?code|eircode)\.?(?: (?:is|of|number))?\s{0,2}[:=#-]?\s{0,2}([A-Z]{0,2}-?[0-9][0-9A-Z]{1,5}(?:[ -][0-9A-Z]{2,4})?)(?![\w])",
    re.IGNORECASE,
)
_POSTCODE_GB: Final = re.compile(
    r"(?<![\w-])[A-PR-UWYZ](?:[0-9]{1,2}|[A-HK-Y][0-9]|[A-HK-Y][0-9](?:[0-9]|[ABEHMNPRV-Y])|[0-9][A-HJKPS-UW]) ?[0-9][ABD-HJLNP-UW-Z]{2}(?![\w])",
    re.IGNORECASE,
)
_POSTCODE_CA: Final = re.compile(
    r"(?<![\w-])[ABCEGHJ-NPRSTVXY][0-9][ABCEGHJ-NPRSTV-Z][ -]?[0-9][ABCEGHJ-NPRSTV-Z][0-9](?![\w])",
    re.IGNORECASE,
)
_STATES: Final = "AL|AK|AZ|AR|CA|CO|CT|DE|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|OR|PA|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|DC|PR|GU|VI"
_POSTCODE_US: Final = re.compile(
    rf"(?<![\w])(?:(?P<state>{_STATES}),? )(?P<code>[0-9]{{5}}(?:-[0-9]{{4}})?)(?![\w-])"
)
_ZIP_PLUS: Final = re.compile(r"(?<![\w.-])[0-9]{5}-[0-9]{4}(?![\w-])")
_POSTCODE_FORM: Final = re.compile(
    r"(?<![\w.-])[0-9]{2}-[0-9]{3}(?![\w-])|(?<![\w.-])[0-9]{4}-[0-9]{3}(?![\w-])"
)
_LONE_LINE: Final = re.compile(r"^[ \t]{0,8}([0-9]{4,6}(?:-[0-9]{3,4})?)[ \t]{0,8}$", re.MULTILINE)
_LIVES: Final = re.compile(
    r"\b(?:lives?|living|resid(?:es?|ing)|located|stay(?:s|ing)?|office is|house is|home is|deliver(?:ed)?|ship(?:ped)?|address is|address:) (?:at|on|to|in)? ?((?:[A-Z0-9][\w'./-]{0,30} ){1,5}[0-9]{1,6}[A-Za-z]?)(?![\w:/.-]*[\w])"
)


def find(text: str) -> Iterator[Finding]:
    """Yield addresses and postcodes; text without a digit has named streets and corners at most."""
    for match in _STREET_NAMED.finditer(text):
        yield Finding(EntityType.ADDRESS, *match.span(), 0.7)
    if "corner of" in text or "intersection of" in text:
        for match in _CORNER.finditer(text):
            yield Finding(EntityType.ADDRESS, *match.span(1), 0.6)
    if not _DIGIT.search(text):
        return
    yield from _streets(text)
    yield from _postcodes(text)


def _streets(text: str) -> Iterator[Finding]:
    """Streets with a number, units, boxes."""
    for pattern, score in (
        (_STREET_NUMBER_FIRST, 0.8),
        (_STREET_ORDINAL, 0.8),
        (_STREET_NUMBER_LAST, 0.7),
        (_STREET_LEADING, 0.7),
        (_STREET_LEADING_FIRST, 0.7),
        (_STREET_PLAIN, 0.7),
        (_BOX, 0.9),
        (_MILITARY, 0.9),
        (_SHIP, 0.8),
    ):
        for match in pattern.finditer(text):
            if _plausible(match.group()):
                yield Finding(EntityType.ADDRESS, *match.span(), score)
    for match in _LIVES.finditer(text):
        yield Finding(EntityType.ADDRESS, *match.span(1), 0.6)
    for match in _UNITS.finditer(text):
        if _UNIT_NAMED.match(match.group()) or near(text, *match.span(), _UNIT_CONTEXT, before=40, after=30):
            yield Finding(EntityType.ADDRESS, *match.span(), 0.6)


_NO_STREET: Final = words(
    "hours?", "minutes?", "mins?", "days?", "weeks?", "months?", "years?", "times?", "people", "kids", "of", "percent", "am", "pm", "dollars?", "bucks", "miles?", "km", "minute", "hour", "day", "week", "month", "year",
    "the", "a", "is", "was", "are", "to", "and", "or", "for", "with", "i", "my", "you", "we", "that", "it", "this", "in", "on", "at", "from", "by", "but", "so", "more", "new", "about",
)  # fmt: skip


def _plausible(value: str) -> bool:
    """Tell a street from a count of things: `3 days at the lake`."""
    return not _NO_STREET.search(value)


def _postcodes(text: str) -> Iterator[Finding]:
    """Named codes, codes of unmistakable form, digits alone on a line."""
    for pattern in (_POSTCODE_NAMED, _LONE_LINE):
        for match in pattern.finditer(text):
            yield Finding(EntityType.POSTCODE, *match.span(1), 0.7)
    for match in _POSTCODE_US.finditer(text):
        yield Finding(EntityType.LOCATION, *match.span("state"), 0.7)
        yield Finding(EntityType.POSTCODE, *match.span("code"), 0.9)
    for pattern, score in ((_POSTCODE_GB, 0.8), (_POSTCODE_CA, 0.8), (_ZIP_PLUS, 0.7), (_POSTCODE_FORM, 0.4)):
        for match in pattern.finditer(text):
            yield Finding(EntityType.POSTCODE, *match.span(), score)
