"""Made-up numbers, dates and addresses of the network."""

from vault.privacy.training.draws import Draws
from vault.privacy.training.vocabulary import WORDS


class Numbers(Draws):
    """Draws numbers."""

    def phone(self) -> str:
        """Return a phone number."""
        return self.faker().phone_number()

    def email(self) -> str:
        """Return an e-mail address."""
        return self.american().email()

    def url(self) -> str:
        """Return a web address."""
        return self.pick(
            [
                self.american().url(),
                f"www.{self.american().domain_word()}.com",
                f"{self.american().domain_word()}.org",
            ]
        )

    def ip(self) -> str:
        """Return an address of the Internet."""
        return self.american().ipv4() if self.chance(0.8) else self.american().ipv6()

    def card(self) -> str:
        """Return a card number."""
        return self.american().credit_card_number()

    def iban(self) -> str:
        """Return an IBAN."""
        return self.faker_of(self.pick(("de_DE", "en_GB", "fr_FR", "it_IT"))).iban()

    def ssn(self) -> str:
        """Return a social security number."""
        return self.american().ssn()

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
        month, day, year = (
            self.pick(WORDS["months"]),
            self.draw.randrange(1, 29),
            self.draw.randrange(2000, 2026),
        )
        return self.pick(
            [
                f"{day} {month} {year}",
                f"{month} {day}",
                f"{month} {day}, {year}",
                f"the {day}th of {month}",
                f"{month} {year}",
                f"last {self.pick(WORDS['days'])}",
                f"next {self.pick(WORDS['days'])}",
                f"{self.pick(WORDS['days'])}, {month} {day}",
            ]
        )

    def birth(self) -> str:
        """Return a date of birth."""
        return (
            self.date()
            if self.chance(0.7)
            else f"{self.draw.randrange(1, 29)} {self.pick(WORDS['months'])} {self.draw.randrange(1930, 2015)}"
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
