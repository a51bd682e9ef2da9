"""`gong-async meetings`: one call per command."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

import attrs
import click

from gong_async._client import GongClient
from gong_async.cli.client import client_options, connect, given
from gong_async.cli.diagnostics import EPILOG
from gong_async.cli.interrupts import interruptible
from gong_async.errors import ValidationError
from gong_async.inputs.columns import Columns
from gong_async.inputs.findings import Finding, InputError
from gong_async.inputs.rows import read_email, read_meeting, read_meeting_id
from gong_async.inputs.text import object_row
from gong_async.models._shared import Result
from gong_async.models._times import EXAMPLE_TIME
from gong_async.models.meetings import MeetingUpdate, NewMeeting

CommandT = TypeVar("CommandT", bound=Callable[..., Any])
MeetingT = TypeVar("MeetingT", MeetingUpdate, NewMeeting)

_BODY = (
    click.option(
        "--start", metavar="TIME", help=f"Start time with UTC offset, such as {EXAMPLE_TIME}."
    ),
    click.option("--end", metavar="TIME", help="End time with UTC offset."),
    click.option("--organizer", metavar="EMAIL", help="Gong user who owns the meeting."),
    click.option(
        "--invitee",
        multiple=True,
        metavar="PERSON",
        help="'lee@x.example' or 'Lee <lee@x.example>'; may be repeated.  [default: no invitees]",
    ),
    click.option("--title", metavar="TEXT", help="Title of the meeting."),
    click.option("--external-id", metavar="TEXT", help="Id of the meeting in your own system."),
    click.option("--provider", metavar="TEXT", help="Conferencing provider, such as zoom."),
    click.option(
        "--json",
        "document",
        type=click.File("r", encoding="utf-8-sig"),
        metavar="FILE",
        help="JSON object with the meeting, instead of the options above; - is stdin.",
    ),
)
_REQUIRED = {"start": "start_time", "end": "end_time", "organizer": "organizer_email"}


def _body_options(command: CommandT) -> CommandT:
    for option in reversed(_BODY):
        command = option(command)
    return command


@click.group(epilog=EPILOG)
def meetings() -> None:
    """Create, update or delete one meeting; check organizers.

    Results are printed as JSON.
    """


@meetings.command(epilog=EPILOG)
@click.argument("meeting_id", metavar="ID")
@_body_options
@client_options
def update(meeting_id: str, base_url: str | None, timeout: float | None, **body: Any) -> None:
    """Replace the meeting ID. Fields that you leave out are cleared."""
    known = read_meeting_id(meeting_id)
    change = _meeting(MeetingUpdate, body, known)
    _print(lambda gong: gong.meetings.update(known, change), base_url, timeout)


@meetings.command(epilog=EPILOG)
@_body_options
@client_options
def create(base_url: str | None, timeout: float | None, **body: Any) -> None:
    """Create a meeting."""
    meeting = _meeting(NewMeeting, body, None)
    _print(lambda gong: gong.meetings.create(meeting), base_url, timeout)


@meetings.command(epilog=EPILOG)
@click.argument("meeting_id", metavar="ID")
@click.option("--organizer", required=True, metavar="EMAIL", help="Organizer of the meeting.")
@client_options
def delete(meeting_id: str, organizer: str, base_url: str | None, timeout: float | None) -> None:
    """Delete the meeting ID."""
    known, email = read_meeting_id(meeting_id), _email("organizer_email", organizer)
    _print(
        lambda gong: gong.meetings.delete(known, organizer_email=email),
        base_url,
        timeout,
    )


@meetings.command(epilog=EPILOG)
@click.argument("emails", nargs=-1, required=True, metavar="EMAIL...")
@client_options
def status(emails: tuple[str, ...], base_url: str | None, timeout: float | None) -> None:
    """Show whether meetings of these organizers can be created and updated."""
    known = [_email(f"emails[{index}]", email) for index, email in enumerate(emails)]
    _print(lambda gong: gong.meetings.integration_status(known), base_url, timeout)


def _email(name: str, text: str) -> str:
    """Return an address as read from a file: without surrounding blanks."""
    try:
        return read_email(text)
    except ValidationError as error:
        problem = error.problem
    raise ValidationError(name, problem)


def _print(
    call: Callable[[GongClient], Coroutine[Any, Any, Result]],
    base_url: str | None,
    timeout: float | None,
) -> None:
    """Make one call and print its result."""

    async def run() -> Result:
        options = given(base_url=base_url, timeout=timeout)
        async with connect(**options) as gong:
            return await interruptible(call(gong))

    result = asyncio.run(run())
    # ASCII only: no character of Gong's response can control the terminal.
    click.echo(json.dumps(attrs.asdict(result, filter=_is_shown), indent=2))


def _is_shown(field: attrs.Attribute[Any], value: Any) -> bool:
    return field.name != "extra" or bool(value)


def _meeting(cls: type[MeetingT], body: Mapping[str, Any], meeting_id: str | None) -> MeetingT:
    """Return the meeting from the options or the JSON document."""
    document = body["document"]
    options = {name: value for name, value in body.items() if name != "document" and value}
    if document is None:
        missing = [f"--{name}" for name in _REQUIRED if not options.get(name)]
        if missing:
            raise click.UsageError(
                f"{', '.join(missing)} missing; set them, or pass the meeting as --json"
            )
        return _checked("options", cls, _from_options(options))
    if options:
        raise click.UsageError("--json cannot be combined with other options of the meeting")
    try:
        text = document.read()
    except UnicodeDecodeError:
        raise InputError("--json", [Finding(0, None, "not UTF-8")]) from None
    raw: dict[str, object] = {}
    findings: list[Finding] = []
    for item in object_row(1, text, Columns(strict=True, remedy=False)):
        if isinstance(item, Finding):
            findings.append(item)
        else:
            raw = item[1]
    named = raw.pop("meeting_id", None)
    if named is not None and (problem := _id_problem(named, meeting_id)):
        findings.append(Finding(1, "meeting_id", problem))
    if findings:
        raise InputError("--json", findings)
    return _checked("--json", cls, raw)


def _id_problem(named: object, meeting_id: str | None) -> str:
    """Return why the id in a document does not fit the meeting; empty if it fits."""
    if meeting_id is None:
        return "not allowed for a new meeting"
    try:
        return "" if read_meeting_id(named) == meeting_id else "differs from ID"
    except ValidationError as error:
        return error.problem


def _from_options(options: Mapping[str, Any]) -> dict[str, object]:
    raw = {_REQUIRED.get(name, name): value for name, value in options.items()}
    raw["invitees"] = list(raw.pop("invitee", ()))
    return raw


def _checked(source: str, cls: type[MeetingT], raw: Mapping[str, object]) -> MeetingT:
    meeting = read_meeting(cls, raw)
    if isinstance(meeting, list):
        raise InputError(source, meeting)
    return meeting
