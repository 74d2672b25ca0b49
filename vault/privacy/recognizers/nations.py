"""Nationalities and countries by list: few, closed, and unmistakable but for those that are words or names too."""

import re
from collections.abc import Iterator
from typing import Final

from policies.privacy import EntityType
from vault.privacy.findings import Finding

NATIONALITIES: Final[tuple[str, ...]] = tuple(
    """
Afghan Albanian Algerian American Andorran Angolan Argentine Argentinian Armenian Australian Austrian Azerbaijani Bahamian Bahraini Bangladeshi
Barbadian Basque Belarusian Belgian Belizean Beninese Bhutanese Bolivian Bosnian Botswanan Brazilian Breton British Bruneian Bulgarian Burmese
Burundian Cambodian Cameroonian Canadian Catalan Chadian Chilean Chinese Colombian Congolese Croatian Cuban Cypriot Czech Dane Danish Djiboutian
Dominican Dutch Ecuadorian Egyptian Emirati English Eritrean Estonian Ethiopian Faroese Fijian Filipino Filipina Finn Finnish Flemish French Gabonese
Gambian Georgian German Ghanaian Greek Greenlander Greenlandic Grenadian Guatemalan Guinean Guyanese Haitian Hawaiian Hispanic Honduran Hungarian
Icelander Icelandic Indian Indonesian Iranian Iraqi Irish Israeli Italian Ivorian Jamaican Japanese Jordanian Kazakh Kenyan Korean Kosovar Kurdish
Kuwaiti Kyrgyz Lao Laotian Latino Latina Latvian Lebanese Liberian Libyan Lithuanian Luxembourgish Macedonian Malagasy Malawian Malaysian Maldivian
Malian Maltese Maori Mauritanian Mauritian Mexican Moldovan Mongolian Montenegrin Moroccan Mozambican Namibian Nepalese Nepali Nicaraguan Nigerian
Norwegian Omani Pakistani Palestinian Panamanian Paraguayan Persian Peruvian Pole Polish Portuguese Qatari Romani Romanian Russian Rwandan Samoan
Saudi Scot Scottish Senegalese Serb Serbian Singaporean Slovak Slovakian Slovene Slovenian Somali Spaniard Spanish Sudanese Surinamese Swede Swedish
Swiss Syrian Tahitian Taiwanese Tajik Tanzanian Thai Tibetan Togolese Tongan Tunisian Turk Turkish Turkmen Ugandan Ukrainian Uruguayan Uzbek
Venezuelan Vietnamese Welsh Yemeni Zambian Zimbabwean Catholic Protestant Buddhist Hindu Jewish Muslim Sikh Mormon Lutheran Methodist Baptist Anglican
Orthodox Quaker
""".split()  # noqa: SIM905 (a paragraph of words reads better than a list)
)
COUNTRIES: Final[tuple[str, ...]] = tuple(
    name.strip()
    for name in """
Afghanistan, Aland Islands, Albania, Algeria, American Samoa, Andorra, Angola, Anguilla, Antarctica, Antigua and Barbuda, Argentina, Armenia, Aruba,
Australia, Austria, Azerbaijan, Bahamas, Bahrain, Bangladesh, Barbados, Belarus, Belgium, Belize, Benin, Bermuda, Bhutan, Bolivia, Bosnia, Bosnia and
Herzegovina, Botswana, Bouvet Island, Brazil, Britain, British Indian Ocean Territory, British Virgin Islands, Brunei, Bulgaria, Burkina Faso, Burma,
Burundi, Cabo Verde, Cambodia, Cameroon, Canada, Cape Verde, Cayman Islands, Central African Republic, Chad, Chile, China, Christmas Island, Cocos
Islands, Colombia, Comoros, Cook Islands, Costa Rica, Croatia, Cuba, Curacao, Cyprus, Czech Republic, Czechia, Democratic Republic of the Congo,
Denmark, Djibouti, Dominica, Dominican Republic, East Timor, Ecuador, Egypt, El Salvador, England, Equatorial Guinea, Eritrea, Estonia, Eswatini,
Ethiopia, Falkland Islands, Faroe Islands, Fiji, Finland, France, French Guiana, French Polynesia, French Southern Territories, Gabon, Gambia,
Georgia, Germany, Ghana, Gibraltar, Great Britain, Greece, Greenland, Grenada, Guadeloupe, Guam, Guatemala, Guernsey, Guinea, Guinea-Bissau, Guyana,
Haiti, Heard Island and McDonald Islands, Holland, Honduras, Hong Kong, Hungary, Iceland, India, Indonesia, Iran, Iraq, Ireland, Isle of Man, Israel,
Italy, Ivory Coast, Jamaica, Japan, Jersey, Jordan, Kazakhstan, Kenya, Kiribati, Korea, Kosovo, Kuwait, Kyrgyzstan, Laos, Latvia, Lebanon, Lesotho,
Liberia, Libya, Liechtenstein, Lithuania, Luxembourg, Macao, Macedonia, Madagascar, Malawi, Malaysia, Maldives, Mali, Malta, Marshall Islands,
Martinique, Mauritania, Mauritius, Mayotte, Mexico, Micronesia, Moldova, Monaco, Mongolia, Montenegro, Montserrat, Morocco, Mozambique, Myanmar,
Namibia, Nauru, Nepal, Netherlands, Netherlands Antilles, New Caledonia, New Zealand, Nicaragua, Niger, Nigeria, Niue, Norfolk Island, North Korea,
North Macedonia, Northern Ireland, Northern Mariana Islands, Norway, Oman, Pakistan, Palau, Palestinian Territory, Panama, Papua New Guinea, Paraguay,
Peru, Philippines, Pitcairn, Poland, Portugal, Puerto Rico, Qatar, Republic of the Congo, Reunion, Romania, Russia, Russian Federation, Rwanda, Saint
Barthelemy, Saint Helena, Saint Kitts and Nevis, Saint Lucia, Saint Martin, Saint Pierre and Miquelon, Saint Vincent and the Grenadines, Samoa, San
Marino, Sao Tome and Principe, Saudi Arabia, Scotland, Senegal, Serbia, Serbia and Montenegro, Seychelles, Sierra Leone, Singapore, Sint Maarten,
Slovakia, Slovenia, Solomon Islands, Somalia, South Africa, South Georgia and the South Sandwich Islands, South Korea, South Sudan, Spain, Sri Lanka,
Sudan, Suriname, Svalbard and Jan Mayen, Swaziland, Sweden, Switzerland, Syria, Taiwan, Tajikistan, Tanzania, Thailand, The Netherlands, Timor Leste,
Togo, Tokelau, Tonga, Trinidad and Tobago, Tunisia, Turkey, Turkmenistan, Turks and Caicos Islands, Tuvalu, U.S. Virgin Islands, U.S.A., USA, Uganda,
Ukraine, United Arab Emirates, United Kingdom, United States, United States Minor Outlying Islands, United States of America, Uruguay, Uzbekistan,
Vanuatu, Vatican, Vatican City, Venezuela, Vietnam, Wales, Wallis and Futuna, Western Sahara, Yemen, Zambia, Zimbabwe
""".replace("\n", ",").split(",")
    if name.strip()
)
_OTHER: Final = frozenset(
    {
        "Pole",
        "Dane",
        "Swede",
        "Finn",
        "Turk",
        "Scot",
        "Serb",
        "Lao",
        "Thai",
        "Basque",
        "Catholic",
        "Protestant",
        "Orthodox",
        "Polish",
        "Turkey",
        "China",
        "Chad",
        "Jordan",
        "Georgia",
        "Guinea",
        "Jersey",
        "Reunion",
        "Niger",
        "Mali",
        "Togo",
        "Cuba",
        "Israel",
        "Dominica",
        "Breton",
        "Persian",
        "Cyprus",
    }
)
"""Words and names as well: only with a capital (nationalities), or left to the tagger (the rest)."""
_NAMES: Final = frozenset(
    {
        "Chad",
        "Jordan",
        "Georgia",
        "Guernsey",
        "Jersey",
        "Reunion",
        "Pole",
        "Dane",
        "Israel",
        "Orthodox",
        "Catholic",
        "Protestant",
        "Breton",
    }
)


def _pattern(names: tuple[str, ...], *, small: bool) -> re.Pattern[str]:
    """Return a pattern of whole words, longest first; with `small`, those that are nothing else in lower case."""
    taken = sorted(
        (name for name in names if name not in _NAMES and not (small and name in _OTHER)),
        key=len,
        reverse=True,
    )
    forms = [name.lower() for name in taken] if small else taken + [name.upper() for name in taken]
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, forms))})(?![\w])")


_PATTERNS: Final = tuple(
    (kind, _pattern(names, small=small))
    for kind, names in ((EntityType.LOCATION, COUNTRIES), (EntityType.NATIONALITY, NATIONALITIES))
    for small in (False, True)
)


def find(text: str) -> Iterator[Finding]:
    """Yield countries and nationalities."""
    for kind, pattern in _PATTERNS:
        for match in pattern.finditer(text):
            yield Finding(kind, *match.span(), 0.6)
