"""Which operation is interrupted, in which way, and when: all of it follows from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

Subject = Literal["update", "update_many", "run", "plan"]
Way = Literal[
    "cancel",
    "insist",
    "level",
    "group",
    "timeout",
    "abandon",
    "collect",
    "leave",
    "end",
    "close",
    "hurry",
    "exit",
]

SUBJECTS: tuple[Subject, ...] = ("update", "update_many", "run", "plan")
GENERATORS: tuple[Subject, ...] = ("update_many", "run")

COMBINATIONS: list[tuple[Subject, Way]] = [
    *(
        (subject, way)
        for way in ("cancel", "insist", "level", "group", "timeout")
        for subject in SUBJECTS
    ),
    *((subject, way) for way in ("abandon", "collect", "leave") for subject in GENERATORS),
    *((subject, way) for way in ("end", "close", "hurry") for subject in SUBJECTS),
]
"""`cancel`: once, at a random step of the event loop. `insist`: again at every step that follows.
`level`: again at every await, by a scope of anyio. `group`: another task of the `TaskGroup` fails.
`timeout`: `asyncio.timeout` expires. `abandon`: the loop over the outcomes is left without
`aclose`. `collect`: and the job and the client are garbage, too. `leave`: the event loop ends while
the outcomes are half read. `end`: the event loop ends while the operation is under way. `close`:
the client is closed under it. `hurry`: and the task that closes it is cancelled a little later."""

EXITS: list[tuple[Subject, Way]] = [(subject, "exit") for subject in GENERATORS]
"""The interpreter shuts down; in a process of its own."""

_EXIT_EVERY = 67
_STEPS = {"update": 7, "update_many": 38, "run": 150, "plan": 44}
"""Steps of an uninterrupted operation, about."""


@dataclass(frozen=True)
class Case:
    """One interruption."""

    seed: int
    subject: Subject
    way: Way
    at: int
    """The step of the event loop at which it happens; for outcomes, how many were read."""
    here: bool
    """Whether the work goes on in the same event loop, at once, with the same objects."""
    asynchronous: bool
    """Whether the changes come from an asynchronous generator."""
    faults: bool
    """Whether Gong fails now and then."""
    slow: bool
    """Whether the reader of the outcomes takes its time."""
    rounds: int
    """How often it is interrupted before it may come to its end."""
    after: int
    """Steps after which the task that closes the client is cancelled, in `hurry`."""

    def __str__(self) -> str:
        where = "goes on here" if self.here else "goes on elsewhere"
        marks = f"{', async source' * self.asynchronous}{', faults' * self.faults}"
        times = f" in {self.rounds} rounds" if self.rounds > 1 else ""
        marks += ", slow reader" * self.slow
        return f"seed {self.seed}: {self.subject}, {self.way} at {self.at}{times}, {where}{marks}"


def make_case(seed: int, *, subject: Subject | None = None, way: Way | None = None) -> Case:
    """Return the case of a seed; of a given operation and way, if they are named."""
    chance = random.Random(f"cancellation {seed}")
    if seed % _EXIT_EVERY == 0:
        chosen = EXITS[seed // _EXIT_EVERY % len(EXITS)]
    else:
        chosen = COMBINATIONS[seed % len(COMBINATIONS)]
    subject, way = subject or chosen[0], way or chosen[1]
    counted = way in {"abandon", "collect", "leave", "exit"}
    return Case(
        seed=seed,
        subject=subject,
        way=way,
        at=chance.randint(1, 9) if counted else chance.randint(1, _STEPS[subject]),
        here=chance.random() < 0.5
        and way not in {"leave", "end", "close", "hurry", "exit", "collect"},
        asynchronous=chance.random() < 0.3,
        faults=chance.random() < 0.15,
        slow=chance.random() < 0.3,
        rounds=1 if way == "exit" else chance.choice([1, 1, 2, 3]),
        after=chance.randint(1, 12),
    )
