"""Made-up values for the slots of templates, in many countries' forms; deterministic for a seed."""

from collections.abc import Callable

from vault.privacy.training.numbers import Numbers
from vault.privacy.training.places import Places


class Values(Places, Numbers):
    """Draws a value for any slot; one seed, always the same sequence."""

    def slot(self, name: str) -> str:
        """Return a value for a slot of a template.

        Raises:
            KeyError: there is no such slot.
        """
        makers: dict[str, Callable[[], str]] = {
            "P": self.person, "F": self.first, "L": self.last, "T": self.title, "O": self.organization, "C": self.town, "N": self.country, "R": self.region,
            "A": self.nationality, "S": self.street, "ST": self.street_name, "U": self.unit, "ADDR": self.address, "BOX": self.box, "CORNER": self.corner, "WORK": self.work, "JT": self.office, "Z": self.postcode, "PH": self.phone,
            "EM": self.email, "URL": self.url, "IP": self.ip, "CC": self.card, "IBAN": self.iban, "SSN": self.ssn, "AGE": self.age, "D": self.date, "DT": self.timestamp,
            "DTO": self.timestamp, "Y": self.year, "CAL": self.calendar, "DOB": self.birth, "ID": self.number, "DL": self.number, "USER": self.username, "J": self.job,
            "W": self.product, "TOOL": self.tool, "NUM": self.count, "HASH": self.digest, "UUID": self.uuid, "PATH": self.path, "VER": self.version, "TIME": self.clock, "TICKET": self.ticket,
        }  # fmt: skip
        return makers[name]()
