"""What people said of verdicts: the mark with the highest sequence of a result holds."""

from __future__ import annotations

from typing import NamedTuple

from contract import Place, UnreadableError, check_station, check_texts, parse

HOLDS = """SELECT marks.* FROM marks JOIN (
        SELECT source, result_id, MAX(sequence) AS sequence FROM marks GROUP BY source, result_id) AS newest
    ON marks.source = newest.source AND marks.result_id = newest.result_id
        AND marks.sequence = newest.sequence
    WHERE says <> 'taken_back'"""


class Mark(NamedTuple):
    """The columns of one mark; `truth` is good, defective, or null where it does not tell."""

    mark_id: str
    source: str
    sequence: int
    result_id: str
    says: str  # right, wrong, taken_back
    truth: str | None
    label: str | None
    who: str
    created: str
    body: str


INSERT_MARK = f"""INSERT INTO marks ({", ".join(Mark._fields)})
    VALUES ({", ".join("?" * len(Mark._fields))}) ON CONFLICT (mark_id) DO NOTHING"""


def read_mark(where: Place, payload: bytes) -> Mark:
    """Raises UnreadableError."""
    said, body = parse(payload, "plumbline.mark/1")
    check_station(said, where)
    try:
        found = Mark(
            mark_id=said["mark_id"],
            source=where.source,
            sequence=said["sequence"],
            result_id=said["result_id"],
            says=said["says"],
            truth=said["truth"],
            label=said["label"],
            who=said["who"],
            created=said["created"],
            body=body,
        )
    except KeyError as error:
        raise UnreadableError(f"not a mark: {error!r}"[:500]) from None
    check_texts((found.mark_id, found.result_id, found.says, found.who, found.created))
    check_texts(text for text in (found.truth, found.label) if text is not None)
    if type(found.sequence) is not int or not 1 <= found.sequence < 2**63:
        raise UnreadableError(f"sequence: {found.sequence!r}"[:500])
    return found
