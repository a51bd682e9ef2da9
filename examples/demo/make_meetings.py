"""Makes `meetings.csv`: 400 meetings of a company that does not exist, always the same ones.

Run it with: python examples/demo/make_meetings.py
"""

from __future__ import annotations

import csv
import random
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

ROWS = 400
SEED = 20_261_124
FILE = Path(__file__).with_name("meetings.csv")

COLUMNS = (
    "meeting_id",
    "start_time",
    "end_time",
    "organizer_email",
    "title",
    "external_id",
    "provider",
    "invitees",
)

# One organizer has a single meeting: the demo's Gong will say that their settings are broken.
BROKEN_ORGANIZER = "noor.haddad@northwind.example"

# Winter offsets in hours, so that the file is the same on machines without a time zone database.
_ORGANIZERS = {
    "dana.whitfield@northwind.example": -5,
    "luca.moretti@northwind.example": 1,
    "mei.tanaka@northwind.example": 9,
    "jonas.brandt@northwind.example": 1,
    "priya.raman@northwind.example": 5.5,
    "carla.jimenez@northwind.example": -5,
    "owen.gallagher@northwind.example": 0,
}
_CUSTOMERS = (
    ("Contoso", "contoso.example"),
    ("Fabrikam", "fabrikam.example"),
    ("Tailspin Toys", "tailspin.example"),
    ("Alpine Ski House", "alpineski.example"),
    ("Litware", "litware.example"),
    ("Café Zürich", "cafe-zuerich.example"),
    ("Proseware", "proseware.example"),
    ("Østergård Foods", "ostergard.example"),
)
_PEOPLE = (
    ("Lee", "Chen"),
    ("Ana", "Souza"),
    ("Björn", "Lind"),
    ("Fatima", "Noor"),
    ("Grace", "Okafor"),
    ("Hugo", "Laurent"),
    ("Ines", "Kovač"),
    ("Tom", "O'Neill"),
    ("Yuki", "Sato"),
    ("Zoë", "Peeters"),
)
_SUBJECTS = (
    "Discovery call",
    "Product demo",
    "Technical deep dive",
    "Security review",
    "Pricing and terms",
    "Renewal",
    "Quarterly business review",
    "Kick-off",
    "Proof of concept: results",
)
_PROVIDERS = ("zoom", "zoom", "teams", "meet", "")
_LENGTHS = (30, 30, 45, 60)
_FIRST_ID = 7_782_342_274_025_000_000
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_ASCII = str.maketrans("öëčé", "oece", "'")


def make_meetings() -> list[dict[str, str]]:
    """Return the rows of the file."""
    chance = random.Random(SEED)  # noqa: S311 - the same meetings every time, no secret
    first_day = datetime(2026, 11, 30, tzinfo=UTC)
    ids = sorted(chance.sample(range(10**12), ROWS))
    rows: list[dict[str, str]] = []
    for number, offset in enumerate(ids):
        organizer, hours = chance.choice(list(_ORGANIZERS.items()))
        if number == ROWS * 5 // 8:
            organizer, hours = BROKEN_ORGANIZER, 1
        day = first_day + timedelta(days=7 * (number // 40) + chance.randrange(5))
        start = datetime(
            day.year,
            day.month,
            day.day,
            chance.randrange(8, 18),
            chance.choice((0, 15, 30, 45)),
            tzinfo=timezone(timedelta(hours=hours)),
        )
        customer, domain = chance.choice(_CUSTOMERS)
        guests = chance.sample(_PEOPLE, chance.randint(1, 3))
        rows.append(
            {
                "meeting_id": str(_FIRST_ID + offset),
                "start_time": start.isoformat(),
                "end_time": (start + timedelta(minutes=chance.choice(_LENGTHS))).isoformat(),
                "organizer_email": organizer,
                "title": f"{customer}: {chance.choice(_SUBJECTS)}",
                "external_id": "".join(chance.choices(_ALPHABET, k=18)),
                "provider": chance.choice(_PROVIDERS),
                "invitees": "; ".join(_invitee(*guest, domain) for guest in guests),
            }
        )
    return rows


def _invitee(first: str, last: str, domain: str) -> str:
    address = f"{first}.{last}@{domain}".lower().translate(_ASCII)
    return f"{first} {last} <{address}>"


def main() -> None:
    """Write the file."""
    with FILE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(make_meetings())
    print(f"{ROWS} meetings written to {FILE.name}")


if __name__ == "__main__":
    main()
