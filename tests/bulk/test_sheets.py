"""Spreadsheets as programs other than openpyxl write them, damaged ones, and hostile ones."""

from __future__ import annotations

import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import openpyxl  # type: ignore[import-untyped]
import pytest

from gong_async.inputs.reader import InputError, read_changes

ID = "7782342274025937895"
NAMES = ("meeting_id", "start_time", "end_time", "organizer_email", "invitees", "title")
VALUES = (
    ID,
    "2026-11-24T15:00:00+01:00",
    "2026-11-24T15:45:00+01:00",
    "dana@example.com",
    "lee@customer.example",
)
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
STRICT_MAIN = "http://purl.oclc.org/ooxml/spreadsheetml/main"
STRICT_OFFICE = "http://purl.oclc.org/ooxml/officeDocument/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"

Pack = Callable[..., Path]


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    """Write a spreadsheet of XML parts."""

    def pack(
        rows: str = "",
        *,
        head: str = "",
        tail: str = "",
        sheet: str | None = None,
        sheets: str = '<sheet name="One" r:id="a"/>',
        parts: Mapping[str, str] = {},
        main: str = MAIN,
        office: str = OFFICE,
        packed: int = zipfile.ZIP_DEFLATED,
    ) -> Path:
        body = f'<worksheet xmlns="{main}">{head}<sheetData>{rows}</sheetData>{tail}</worksheet>'
        links = "".join(
            f'<Relationship Id="{id_}" Type="{office}/{kind}" Target="{target}"/>'
            for id_, kind, target in (
                ("a", "worksheet", "worksheets/sheet1.xml"),
                ("b", "worksheet", "worksheets/sheet2.xml"),
                ("s", "sharedStrings", "/xl/sharedStrings.xml"),
                ("t", "styles", "styles.xml"),
            )
        )
        content = {
            "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}">'
            f"<sheets>{sheets}</sheets></workbook>",
            "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}">{links}'
            "</Relationships>",
            "xl/sharedStrings.xml": f'<sst xmlns="{main}"/>',
            "xl/styles.xml": f'<styleSheet xmlns="{main}"/>',
            "xl/worksheets/sheet1.xml": body if sheet is None else sheet,
            "xl/worksheets/sheet2.xml": f'<worksheet xmlns="{main}"/>',
            **parts,
        }
        path = tmp_path / "meetings.xlsx"
        with zipfile.ZipFile(path, "w", packed) as archive:
            for name, text in content.items():
                archive.writestr(name, text)
        return path

    return pack


def text(value: str, place: str = "") -> str:
    """Return a cell with text in it."""
    at = f' r="{place}"' if place else ""
    return f'<c{at} t="inlineStr"><is><t>{value}</t></is></c>'


HEADER = f"<row>{''.join(map(text, NAMES))}</row>"


def row(title: str, *, id_: str = ID, attributes: str = "") -> str:
    """Return a row whose last cell is the given XML."""
    return f"<row{attributes}>{''.join(map(text, (id_, *VALUES[1:])))}{title}</row>"


def titles(path: Path) -> list[str | None]:
    """Return the titles of a good file."""
    return [change.update.title for change in read_changes(path)]


def faults(path: Path) -> list[str]:
    """Return what is wrong with a file."""
    with pytest.raises(InputError) as caught:
        list(read_changes(path))
    return [str(finding) for finding in caught.value.findings]


def notes(path: Path) -> list[str]:
    """Return what is worth knowing of a good file."""
    inputs = read_changes(path)
    inputs.check()
    return [str(note) for note in inputs.notes]


@pytest.mark.parametrize(
    ("cell", "fault"),
    [
        ('<c t="e"><v>#N/A</v></c>', "cell F2 holds the error #N/A"),
        ('<c t="e" vm="1"><v>#VALUE!</v></c>', "cell F2 holds the error #VALUE!"),
        ('<c t="e"><f>1/0</f><v>#DIV/0!</v></c>', "cell F2 holds the error #DIV/0!"),
        ('<c t="e"/>', "cell F2 holds the error #REF! or the like"),
        ('<c t="str"><v>#N/A</v></c>', "the error #N/A of a spreadsheet"),
        (text("#BEZUG!"), "the error #BEZUG! of a spreadsheet"),
        ("<c><f>1+1</f></c>", "cell F2 holds a formula without a saved value"),
        ('<c><f t="shared" si="0"/><v/></c>', "cell F2 holds a formula without a saved value"),
        ('<c t="s"><v>7</v></c>', "cell F2 holds a reference to a text that is missing"),
        ('<c t="s"><v>-1</v></c>', "cell F2 holds a reference to a text that is missing"),
        ('<c t="x"><v>7</v></c>', "cell F2 holds a value that cannot be read"),
        ("<c><v>1_0</v></c>", "cell F2 holds a value that cannot be read"),
        ("<c><v>nan</v></c>", "cell F2 holds a value that cannot be read"),
        ('<c t="b"><v>2</v></c>', "cell F2 holds a value that cannot be read"),
        ('<c t="inlineStr"><v>x</v></c>', "cell F2 holds a text that cannot be read"),
        ("<c><v>1</v><is><t>x</t></is></c>", "cell F2 holds a value of two kinds"),
        (
            '<c t="inlineStr"><v>1</v><is><t>x</t></is></c>',
            "cell F2 holds a value of two kinds",
        ),
        ('<c t="str"><f>A1</f></c>', "cell F2 holds a formula without a saved value"),
        ('<c t="b"><v>1</v></c>', "expected text, got true or false"),
        ('<c t="d"><v>2026-11-24</v></c>', "expected text, got a date cell"),
        ("<c><v>1.5</v></c>", "a number cell keeps only 15 digits; format the column as text"),
    ],
)
def test_cells_that_are_not_read_as_empty(pack: Pack, cell: str, fault: str) -> None:
    """What cannot be used is a finding, with its column: read as empty, it would erase a title."""
    (found,) = faults(pack(HEADER + row(cell)))

    assert found.startswith(f"line 2, title: {fault}")


@pytest.mark.parametrize(
    ("cell", "title"),
    [
        (text("Renewal"), "Renewal"),
        ('<c t="str"><f>A1</f><v>Renewal</v></c>', "Renewal"),
        ('<c t="str"><f t="shared" si="0"/><v></v></c>', None),
        ("<c><f>1+1</f><v>2</v></c>", "2"),
        ("<c><v>2.0E3</v></c>", "2000"),
        ('<c t="s"><v>1</v></c>', "Re new<al"),
        ('<c t="inlineStr"><is><r><t>Re</t></r><r><t>new</t></r></is></c>', "Renew"),
        ('<c t="inlineStr"><is><t>a</t><rPh sb="0" eb="1"><t>b</t></rPh></is></c>', "a"),
        (text("a_x000D__x000A_b_x005F_x0041_"), "a\r\nb_x0041_"),
        (text("<![CDATA[a <c> b]]><!-- <c> -->!"), "a <c> b!"),
        (text("_xD83D__xDE00_"), "\U0001f600"),
        ('<c t="str"/>', None),
        ('<c t="inlineStr"> <is> <t>a</t> <phoneticPr fontId="1"/> </is> <extLst/> </c>', "a"),
        ("<c/>", None),
        ("", None),
        ('<c s="1"><v></v></c>', None),
    ],
)
def test_cells_that_are_read(pack: Pack, cell: str, title: str | None) -> None:
    """Every way to write a text is read; runs are joined, phonetic hints are not text."""
    shared = (
        f'<sst xmlns="{MAIN}"><si><t>no</t></si><si><r><rPr><b/></rPr><t>Re</t></r>'
        '<r><t xml:space="preserve"> new&lt;</t></r><r><t>al</t></r>'
        '<rPh sb="0" eb="2"><t>no</t></rPh></si></sst>'
    )

    assert titles(pack(HEADER + row(cell), parts={"xl/sharedStrings.xml": shared})) == [title]


def test_places_may_be_left_out(pack: Pack) -> None:
    """A cell without a place stands behind the one before; so does a row."""
    gap = row("", attributes=' r="4"').replace("</row>", f"{text('x', 'F4')}</row>")

    assert titles(pack(HEADER + gap + row(text("y"), id_="5"))) == ["x", "y"]


@pytest.mark.parametrize("prefix", ["x:", "ss:"])
@pytest.mark.parametrize(("main", "office"), [(MAIN, OFFICE), (STRICT_MAIN, STRICT_OFFICE)])
def test_namespaces(pack: Pack, prefix: str, main: str, office: str) -> None:
    """Elements are known by their namespaces, the transitional and the strict ones."""
    space = prefix.rstrip(":")
    rows = (HEADER + row(text("Renewal"))).replace("</", "~").replace("<", f"<{prefix}")
    sheet = (
        f'<{prefix}worksheet xmlns:{space}="{main}" xmlns:q="urn:q"><q:row/><{prefix}sheetData>'
        f"{rows.replace('~', f'</{prefix}')}</{prefix}sheetData></{prefix}worksheet>"
    )

    assert titles(pack(sheet=sheet, main=main, office=office)) == ["Renewal"]


def test_where_the_workbook_is(pack: Pack) -> None:
    """Parts are found by relationships, not by their usual names."""
    path = pack(HEADER + row(text("Renewal")))
    moved = path.with_name("moved.xlsx")
    link = f'<Relationship Id="x" Type="{OFFICE}/officeDocument" Target="/XL/Book.xml"/>'
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(moved, "w") as target:
        for name in source.namelist():
            target.writestr(name.replace("workbook", "book"), source.read(name))
        target.writestr("_rels/.rels", f'<Relationships xmlns="{PACKAGE}">{link}</Relationships>')

    assert titles(moved) == ["Renewal"]


@pytest.mark.parametrize(
    ("code", "is_date"),
    [
        ("d. mmmm yyyy", True),
        ("[$-407]hh:mm", True),
        ("[h]:mm", True),
        ("yyyy\\-mm", True),
        ('0 "days"', False),
        ("[Red]0", False),
        ("#,##0_d", False),
    ],
)
def test_dates_are_numbers_with_a_style(pack: Pack, code: str, is_date: bool) -> None:  # noqa: FBT001
    """A date cell has no UTC offset; a format may only look like one of dates."""
    styles = (
        f'<styleSheet xmlns="{MAIN}"><numFmts><numFmt numFmtId="164" '
        f"formatCode='{code}'/></numFmts><cellStyleXfs><xf numFmtId=\"14\"/></cellStyleXfs>"
        '<cellXfs><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="14"/></cellXfs></styleSheet>'
    )
    start = row("").replace(text(VALUES[1]), '<c s="2"><v>46350.5</v></c>')
    rows = HEADER + row('<c s="1"><v>7</v></c>') + start

    found = faults(pack(rows, parts={"xl/styles.xml": styles}))

    assert found[-1].startswith("line 3, start_time: 2026-11-24 12:00:00 has no UTC offset")
    assert ("line 2, title: expected text, got a date cell" in found) is is_date


@pytest.mark.parametrize(
    "rows",
    [
        f"<row>{text('x', 'B2')}</row>",
        f"<row>{text('x', 'B1')}{text('x', 'A1')}</row>",
        f"<row>{text('x', 'A1')}{text('x', 'A1')}</row>",
        '<row r="2"/><row r="2"/>',
        '<row r="2"/><row r="1"/>',
        '<row r="0"/>',
        '<row r="x"/>',
        '<row r="1048577"/>',
        f'<row r="{"9" * 5000}"/>',
        "<row><c><c><v>1</v></c></c></row>",
        "<row><c><v><b>1</b></v></c></row>",
        "<row><x><c><v>1</v></c></x></row>",
        "<row><c><v>1</v><v>2</v></c></row>",
        '<row><c t="inlineStr"><is><t>a</t></is><is><t>b</t></is></c></row>',
        '<row><y:c xmlns:y="urn:y"><y:v>1</y:v></y:c></row>',
        '<row><c><y:v xmlns:y="urn:y">1</y:v></c></row>',
        '<row><c t="inlineStr"><is><y:t xmlns:y="urn:y">a</y:t></is></c></row>',
        '<y:row xmlns:y="urn:y"/>',
        "<row><c>1</c></row>",
        '<row><c t="inlineStr"><is>a</is></c></row>',
        "<c><v>1</v></c>",
        "<row><c></row>",
    ],
)
def test_sheets_that_contradict_themselves(pack: Pack, rows: str) -> None:
    """Nothing is guessed of cells that are twice there, out of order, or in the wrong place."""
    (fault,) = faults(pack(HEADER.replace("<row>", '<row r="1">') * ("r=" not in rows) + rows))[-1:]

    assert "save it again" in fault


@pytest.mark.parametrize("ref", ["F2:F3", "A3:C3", "E1:F1", "A1:XFD1048576"])
def test_merged_cells(pack: Pack, ref: str) -> None:
    """Of merged cells all but the first are empty in the file: the range is refused by name."""
    tail = f'<mergeCells><mergeCell ref="{ref}"/></mergeCells>'

    found = faults(pack(HEADER + row(text("x")) + row("", id_="5"), tail=tail))

    assert f"cells {ref} are merged" in found[0]


@pytest.mark.parametrize("ref", ["f2:f3", "$F$2:$F$3", "F:F", "2:3", "S!F2:F3", "?", ""])
def test_merged_cells_that_cannot_be_read(pack: Pack, ref: str) -> None:
    """A range that is not understood may be in the table."""
    tail = f'<mergeCells><mergeCell ref="{ref}"/></mergeCells>'

    (fault,) = faults(pack(HEADER + row(text("x")) + row("", id_="5"), tail=tail))

    assert "merged cells in it cannot be read" in fault


def test_merged_cells_before_the_rows(pack: Pack) -> None:
    """What is merged is judged when the rows are there, and so they come first, and once."""
    merged = '<mergeCells><mergeCell ref="F2:F3"/></mergeCells>'

    for places in ({"head": merged}, {"tail": merged + "<sheetData/>"}, {"tail": merged * 2}):
        assert "out of order" in faults(pack(HEADER + row(text("x")), **places))[-1]


@pytest.mark.parametrize("ref", ["H2:H3", "A4:F4", "F2:F2", "F2"])
def test_merged_cells_beside_the_table(pack: Pack, ref: str) -> None:
    """What is merged outside of the table does no harm."""
    tail = f'<mergeCells><mergeCell ref="{ref}"/></mergeCells>'

    assert titles(pack(HEADER + row(text("x")) + row("", id_="5"), tail=tail)) == ["x", None]


def test_what_is_hidden(pack: Pack) -> None:
    """Hidden rows and columns are read, hidden sheets are not; all of that is noted."""
    hidden = ' hidden="1"'
    path = pack(
        HEADER + row("", attributes=hidden) + row(text("x"), id_="5", attributes=hidden),
        head='<cols><col min="6" max="7" hidden="1"/><col min="9" max="99" hidden="1"/></cols>',
        sheets='<sheet name="Two" state="hidden" r:id="b"/><sheet name="One" r:id="a"/>',
    )

    assert notes(path) == [
        "file: only the sheet 'One' is read; 1 hidden sheet is not",
        "line 1: hidden columns (F to G) are read as well",
        "line 2: 2 hidden rows with values, from here on; read as well",
    ]


def test_no_sheet_can_be_seen(pack: Pack) -> None:
    """A file of hidden sheets is not read."""
    (fault,) = faults(pack(sheets='<sheet name="One" state="veryHidden" r:id="a"/>'))

    assert "no visible sheet" in fault


def test_other_sheets_are_noted(tmp_path: Path) -> None:
    """The first sheet is read, and it is said that there are others."""
    book = openpyxl.Workbook()
    book.active.append(NAMES)
    book.create_sheet("More")
    book.save(tmp_path / "m.xlsx")

    assert notes(tmp_path / "m.xlsx") == [
        "file: only the sheet 'Sheet' is read; 1 other sheet is not"
    ]


@pytest.mark.parametrize("value", ["0", "0.0", "2"])
def test_formulas_that_were_left_to_the_next_program(pack: Pack, value: str) -> None:
    """Some programs write 0 as the value of each formula, and say so in the workbook."""
    path = pack(
        HEADER + row(f"<c><f>1+1</f><v>{value}</v></c>"),
        sheets='<sheet name="One" r:id="a"/></sheets><calcPr fullCalcOnLoad="1"/><sheets>',
    )

    if float(value) == 0:
        (fault,) = faults(path)
        assert "line 2, title: cell F2 holds a formula that was not calculated yet" in fault
        return
    (note,) = notes(path)
    assert note.startswith("line 2: formulas, from here on")
    assert "placeholders" in note


@pytest.mark.parametrize("cell", ['<c r="XFD1048576"/>', '<c r="XFD1048576"><v>1</v></c>'])
def test_far_cells(pack: Pack, cell: str) -> None:
    """A cell far outside of the table is named, and no space is made for those before it."""
    (fault,) = faults(pack(HEADER + f'<row r="1048576">{cell}</row>'))

    assert "cell XFD1048576 lies far outside of a table" in fault


def test_rows_that_are_formatted_to_their_end(pack: Pack) -> None:
    """LibreOffice writes all 16,384 cells of a row that is formatted as a whole."""
    rest = '<c s="1"/>' * (16_384 - len(NAMES))
    rows = HEADER.replace("</row>", f"{rest}</row>") + row(text("x") + rest)
    too_many = row(text("x") + rest + "<c/>")
    value = row(text("x") + '<c s="1"/>' * 1_000 + "<c><v>1</v></c>")

    assert titles(pack(rows, packed=zipfile.ZIP_STORED)) == ["x"]
    for far in (too_many, value):
        (fault,) = faults(pack(HEADER + far, packed=zipfile.ZIP_STORED))
        assert "lies far outside of a table" in fault


def test_far_rows(pack: Pack) -> None:
    """A blank cell in the last possible row does no harm: rows between are not made."""
    far = '<row r="1048576"><c r="A1048576" s="1"/></row>'

    assert titles(pack(HEADER + row(text("x")) + far)) == ["x"]


@pytest.mark.parametrize("part", ["worksheets/sheet1", "sharedStrings", "styles", "workbook"])
def test_what_inflates_too_much(pack: Pack, part: str) -> None:
    """A part that says that it inflates to more than 200 times its size is not inflated."""
    (fault,) = faults(pack(HEADER, parts={f"xl/{part}.xml": " " * 2_000_000}))

    assert "it would inflate to more than" in fault


def test_what_inflates_to_more_than_it_says(pack: Pack) -> None:
    """What a part says of itself is not believed."""
    path = pack(HEADER + row(text("x")) * 50)
    data = path.read_bytes()
    at = data.rindex(b"xl/worksheets/sheet1.xml") - 46
    path.write_bytes(data[: at + 24] + struct.pack("<I", 1_000) + data[at + 28 :])

    (fault,) = faults(path)

    assert "not a readable .xlsx file" in fault


def test_other_ways_of_packing(pack: Pack) -> None:
    """What Python inflates without a bound is not read."""
    (fault,) = faults(pack(HEADER, packed=zipfile.ZIP_BZIP2))

    assert "packed in a way that is not for .xlsx files" in fault


def test_archives_of_too_many_parts(pack: Pack) -> None:
    """The list of parts is not read when it is larger than any spreadsheet's."""
    path = pack(HEADER)
    data = path.read_bytes()
    path.write_bytes(data[:-10] + struct.pack("<I", 5_000_000) + data[-6:])

    (fault,) = faults(path)

    assert "lists more parts than any spreadsheet has" in fault


def test_comments_are_passed_over(pack: Pack) -> None:
    """Comments hold no cells, and 60,000 of them are read as one piece of text is (D4)."""
    comments = "<!-- <c><c>\u2026 -->" * 60_000

    assert titles(pack(HEADER + row(text("x")) + comments, packed=zipfile.ZIP_STORED)) == ["x"]


@pytest.mark.parametrize(
    "sheet",
    [
        '<!DOCTYPE x [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;">]><worksheet>&b;</worksheet>',
        '<!DOCTYPE x SYSTEM "file:///etc/passwd"><worksheet/>',
        "<!DOCTYPE x><worksheet/>",
    ],
)
def test_entities(pack: Pack, sheet: str) -> None:
    """XML that declares anything is refused before it is used."""
    (fault,) = faults(pack(sheet=sheet))

    assert "declares XML entities" in fault


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ("<extLst>" + "<x>" * 100, "nested too deeply"),
        ("<!--" + "x" * 3_000_000 + "-->", "more than 1 MB"),
        ('<c x="' + "x" * 3_000_000 + '"/>', "more than 1 MB"),
        (
            "<extLst>" + "".join(f'<x{n} y{n}="1"/>' for n in range(6_000)) + "</extLst>",
            "more than 10,000 kinds of tags",
        ),
        (
            "".join(f'<row xmlns:x{n}="x"/>' for n in range(11_000)),
            "more than 10,000 kinds of tags",
        ),
        ("<extLst>&nope;</extLst>", "not a readable .xlsx file"),
        (row(text("x" * 1_000_001)), "more than 1,000,000 characters"),
    ],
)
def test_xml_that_takes_memory(pack: Pack, rows: str, fault: str) -> None:
    """What the parser would have to keep is bounded."""
    (found,) = faults(pack(HEADER + rows, packed=zipfile.ZIP_STORED))

    assert fault in found


def test_old_and_protected_files(tmp_path: Path) -> None:
    """A password makes another kind of file of a spreadsheet: it is said which."""
    path = tmp_path / "m.xlsx"
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))

    (fault,) = faults(path)

    assert "protected by a password" in fault


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "it is empty, 0 bytes; export it again"),
        (b"meeting_id,start_time", "if it is text, name it .csv or .jsonl"),
        (b"<html><table/></html>", "otherwise save it as .xlsx"),
        (b"PK\x03\x04", "not a readable .xlsx file"),
    ],
)
def test_other_files_by_the_name_of_a_sheet(tmp_path: Path, content: bytes, fault: str) -> None:
    """A file that is no spreadsheet is distinguished from a broken one, with what to do."""
    path = tmp_path / "m.xlsx"
    path.write_bytes(content)

    assert fault in faults(path)[0]


def test_other_archives_by_the_name_of_a_sheet(tmp_path: Path) -> None:
    """An OpenDocument sheet, or a binary one, is to be saved in another format."""
    path = tmp_path / "m.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("content.xml", "<office:document-content/>")

    assert "save it as .xlsx in a spreadsheet program" in faults(path)[0]


def test_one_long_text_in_many_rows(pack: Pack) -> None:
    """A text that many rows refer to is in memory once, not once a row."""
    shared = f'<sst xmlns="{MAIN}"><si><t>{"x" * 500_000}</t></si></sst>'
    rows = "".join(row('<c t="s"><v>0</v></c>', id_=str(number)) for number in range(200))
    inputs = read_changes(pack(HEADER + rows, parts={"xl/sharedStrings.xml": shared}, packed=0))

    tracemalloc.start()
    assert sum(len(page) for page in inputs.numbered_pages()) == 200
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 20_000_000
