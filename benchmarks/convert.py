"""What it costs to turn a meeting into bytes, and an answer into a result: ours beside others.

    python benchmarks/convert.py [--rounds 9] [--calls 2000]

The ways take turns, and medians count. To build is to make the model with everything that it
checks: emails, zones, the order of times for ours; types alone for msgspec and pydantic, nothing
for a plain dict. To encode is to make bytes of what was built. All send the same JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import GenericAlias
from typing import Any

import msgspec
import orjson
from attrs import frozen
from clients.meeting import by_hand, make_meetings
from clients.ours import model
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from gong_async._json import Json, best_json, from_json
from gong_async.models.converter import make_converter, structure, to_json
from gong_async.models.meetings import UpdatedMeeting

RESULTS = Path(__file__).parent / "results"
MEETING = make_meetings(1)[0]
ANSWER = b'{"requestId":"4al018gzaztcr8nbukw","meetingId":"7000000000000000042"}'
OPERATIONS = ("build", "encode", "build and encode", "decode")


Text: Any = str | None
STRUCT: dict[str, Any] = {"frozen": True, "kw_only": True, "rename": "camel", "omit_defaults": True}
Guest = msgspec.defstruct(
    "Guest",
    [(name, Text, None) for name in ("email", "display_name", "first_name", "last_name")],
    **STRUCT,
)
Meeting = msgspec.defstruct(
    "Meeting",
    [
        ("start_time", datetime),
        ("end_time", datetime),
        ("organizer_email", str),
        ("invitees", GenericAlias(tuple, (Guest, ...))),
        *((name, Text, None) for name in ("title", "external_id", "provider")),
    ],
    **STRUCT,
)
Updated = msgspec.defstruct("Updated", [("meeting_id", str), ("request_id", Text, None)], **STRUCT)


class Camel(BaseModel):
    """What all models for pydantic share."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class PydanticGuest(Camel):
    """An invitee for pydantic."""

    email: str | None = None
    display_name: str | None = None
    first_name: str | None = None
    last_name: str | None = None


class PydanticMeeting(Camel):
    """A meeting for pydantic."""

    start_time: datetime
    end_time: datetime
    organizer_email: str
    invitees: tuple[PydanticGuest, ...]
    title: str | None = None
    external_id: str | None = None
    provider: str | None = None


class PydanticUpdated(Camel):
    """An answer for pydantic."""

    meeting_id: str
    request_id: str | None = None


@frozen
class Way:
    """One way from a meeting to bytes, and from bytes to a result."""

    build: Callable[[], Any]
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]

    def operations(self) -> dict[str, Callable[[], Any]]:
        """Return what is measured."""
        built = self.build()
        return {
            "build": self.build,
            "encode": lambda: self.encode(built),
            "build and encode": lambda: self.encode(self.build()),
            "decode": lambda: self.decode(ANSWER),
        }


def build_struct() -> Any:
    """Build a meeting of msgspec, which checks types only when it decodes."""
    return Meeting(
        start_time=MEETING.start,
        end_time=MEETING.end,
        organizer_email=MEETING.organizer,
        invitees=tuple(Guest(email=email, display_name=name) for email, name in MEETING.invitees),
        title=MEETING.title,
    )


def build_pydantic() -> PydanticMeeting:
    """Build a meeting of pydantic."""
    return PydanticMeeting(
        start_time=MEETING.start,
        end_time=MEETING.end,
        organizer_email=MEETING.organizer,
        invitees=tuple(
            PydanticGuest(email=email, display_name=name) for email, name in MEETING.invitees
        ),
        title=MEETING.title,
    )


def ours(by: Json) -> Way:
    """Return our own way, with or without orjson."""
    converter = make_converter()

    def decode(answer: bytes) -> UpdatedMeeting:
        payload = from_json(answer, json=by)
        assert isinstance(payload, dict)
        return structure(converter, payload, UpdatedMeeting)

    return Way(lambda: model(MEETING), lambda built: to_json(converter, built, json=by), decode)


def ways() -> dict[str, Way]:
    """Return all ways, the base of the ratios first."""
    encoder, decoder = msgspec.json.Encoder(), msgspec.json.Decoder(Updated)
    return {
        "dict and json": Way(
            lambda: by_hand(MEETING), lambda plain: json.dumps(plain).encode(), json.loads
        ),
        "dict and orjson": Way(lambda: by_hand(MEETING), orjson.dumps, orjson.loads),
        "ours with json": ours(Json()),
        "ours with orjson": ours(best_json()),
        "msgspec": Way(build_struct, encoder.encode, decoder.decode),
        "pydantic": Way(
            build_pydantic,
            lambda model: model.model_dump_json(by_alias=True, exclude_none=True).encode(),
            PydanticUpdated.model_validate_json,
        ),
    }


def timed(act: Callable[[], Any], calls: int) -> float:
    """Return the processor time of an act, in microseconds."""
    began = time.process_time()
    for _ in range(calls):
        act()
    return (time.process_time() - began) / calls * 1e6


def measure(rounds: int, calls: int) -> dict[str, dict[str, float]]:
    """Return the medians: way, operation, microseconds."""
    acts = {name: way.operations() for name, way in ways().items()}
    found: dict[str, dict[str, list[float]]] = {
        name: {operation: [] for operation in OPERATIONS} for name in acts
    }
    for number in range(rounds + 1):
        for operation in OPERATIONS:
            for name, way in acts.items():
                taken = timed(way[operation], calls)
                if number:  # the first round makes what is made at first use
                    found[name][operation].append(taken)
    return {
        name: {operation: statistics.median(taken) for operation, taken in operations.items()}
        for name, operations in found.items()
    }


def table(medians: dict[str, dict[str, float]]) -> str:
    """Return the medians as a table, with their ratios to the first way."""
    base = next(iter(medians.values()))
    lines = [f"| us (ratio) | {' | '.join(OPERATIONS)} |", "|---|" + "---:|" * len(OPERATIONS)]
    for name, figures in medians.items():
        cells = (f"{figures[each]:.2f} ({figures[each] / base[each]:.2f})" for each in OPERATIONS)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Check that all send the same, measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=2_000)
    options = parser.parse_args()
    sent = [json.loads(way.encode(way.build())) for way in ways().values()]
    assert all(
        {**each, "startTime": None, "endTime": None}
        == {**sent[0], "startTime": None, "endTime": None}
        for each in sent
    )
    medians = measure(options.rounds, options.calls)
    about = (
        f"Python {platform.python_version()}, orjson {orjson.__version__}, msgspec "
        f"{msgspec.__version__}, medians of {options.rounds} rounds. `python benchmarks/convert.py`"
    )
    text = f"{table(medians)}\n\n{about}"
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "convert.md").write_text(
        f"# A meeting to bytes, an answer to a result\n\n{text}\n", encoding="utf-8"
    )
    figures = {"python": platform.python_version(), "rounds": options.rounds, "us": medians}
    (RESULTS / "convert.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
