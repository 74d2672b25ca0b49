"""Choices that are the same for the same seed: the ground of all made-up values."""

import importlib
import pkgutil
import random
from collections.abc import Sequence
from typing import Final

import faker.providers.person
from faker import Faker

from vault.privacy.training.lexicon import latin

LOCALES: Final = (
    "en_US", "en_GB", "en_IE", "en_IN", "en_NZ", "en_AU", "en_CA", "de_DE", "de_AT", "de_CH", "fr_FR", "fr_CA", "fr_CH", "es_ES", "es_MX", "es_AR", "es_CO", "es_CL",
    "it_IT", "pt_PT", "pt_BR", "nl_NL", "nl_BE", "da_DK", "sv_SE", "no_NO", "fi_FI", "et_EE", "lt_LT", "lv_LV", "pl_PL", "cs_CZ", "sk_SK", "sl_SI", "hr_HR", "hu_HU",
    "ro_RO", "tr_TR", "is_IS", "id_ID", "vi_VN", "az_AZ", "zu_ZA", "yo_NG", "ha_NG", "sw", "tw_GH", "ga_IE",
)  # fmt: skip
"""Latin-script locales of faker; the first weighs most."""


class Draws:
    """Draws from one `random.Random` and from faker generators seeded by the same number."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)  # noqa: S311 (training text, not secrets)
        self._fakers = {locale: Faker(locale) for locale in LOCALES}
        for place, source in enumerate(self._fakers.values()):
            source.seed_instance(seed + place)

    def pick(self, values: Sequence[str]) -> str:
        """Return one of `values`."""
        return self.draw.choice(values)

    def chance(self, share: float) -> bool:
        """Return True in `share` of calls."""
        return self.draw.random() < share

    def locale(self) -> str:
        """Return a locale; one in five is American."""
        return LOCALES[0] if self.chance(0.2) else self.pick(LOCALES)

    def faker(self) -> Faker:
        """Return the faker of a drawn locale."""
        return self._fakers[self.locale()]

    def faker_of(self, locale: str) -> Faker:
        """Return the faker of one locale."""
        return self._fakers[locale]

    def american(self) -> Faker:
        """Return the American faker."""
        return self._fakers[LOCALES[0]]


def names_by_locale(locale: str) -> tuple[list[str], list[str]]:
    """Return faker's given names and surnames of a locale, in order."""
    folder = faker.providers.person.__path__
    module = locale if locale in {one.name for one in pkgutil.iter_modules(folder)} else LOCALES[0]
    provider = importlib.import_module(f"faker.providers.person.{module}").Provider
    found: tuple[list[str], list[str]] = ([], [])
    for attribute in sorted(dir(provider)):
        for prefix, names in zip(("first_name", "last_name"), found, strict=True):
            values = getattr(provider, attribute) if attribute.startswith(prefix) else None
            if isinstance(values, (list, tuple, dict)):
                names.extend(sorted(value for value in values if latin(value) and len(value) > 1))
    return found
