"""Made-up streets, addresses and postcodes."""

from vault.privacy.training.names import Names
from vault.privacy.training.vocabulary import WORDS


class Places(Names):
    """Draws addresses."""

    def street_name(self) -> str:
        """Return a street without number."""
        form = self.draw.random()
        if form < 0.5:  # noqa: PLR2004
            return f"{self.pick([self.first(), self.last(), self.pick(WORDS['words'])])} {self.pick(WORDS['streets'])}"
        if form < 0.75:  # noqa: PLR2004
            return self.pick([self.last(), self.first(), self.coined()]) + self.pick(WORDS["european"])
        if form < 0.9:  # noqa: PLR2004
            return self.pick(WORDS["leading"]).format(self.pick([self.person(), self.last(), self.town()]))
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
            value = f"{number} {self.pick([self.last(), self.first(), self.pick(WORDS['words'])])} {self.pick(WORDS['streets'])}"
        elif form < 0.6:  # noqa: PLR2004
            value = f"{self.street_name()} {number[:4]}{self.pick(['', '', '', '.', 'a', 'B', '/3'])}"
        elif form < 0.75:  # noqa: PLR2004
            value = f"{self.pick([self.coined(), self.last(), self.town()])} {number[:4]}"
        else:
            value = self.faker().street_address().replace("\n", " ")
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
        return self.faker().postcode()

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
                f", {self.pick(self.codes)}",
                f", {self.country()}",
                f"\n, {self.pick(self.codes)}",
                ", nan",
            ]
        )
        parts.append(self.town() + region + (f" {self.postcode()}" if self.chance(0.7) else ""))
        if self.chance(0.3):
            parts.append(self.country() + (f" {self.postcode()}" if self.chance(0.4) else ""))
        return self.pick([", ", "\n", " ", "\n ", ", ", "\n    "]).join(parts)

    def corner(self) -> str:
        """Return a corner of two streets."""
        second = self.pick([self.street_name(), self.street(), self.pick([self.first(), self.last()])])
        return f"the {self.pick(['corner', 'corner', 'corner', 'intersection'])} of {self.pick([self.street_name(), self.street()])} and {second}"
