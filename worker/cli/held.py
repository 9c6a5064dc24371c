"""Commands ``accept`` and ``refuse``: decide about changed content from another sender."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.shell import operator, sessions, stop

if TYPE_CHECKING:
    from db.held import HeldContent

HeldUid = Annotated[
    str, typer.Argument(metavar="UID", help="Series Instance UID or Study Instance UID.")
]
SenderTitle = Annotated[
    str | None,
    typer.Option("--sender", metavar="TITLE", help="Only what this AE title has sent."),
]


def accept(uid: HeldUid, sender: SenderTitle = None) -> None:
    """Accept changed content from another sender: it replaces the first, a report follows."""
    _decide(uid, sender, accept=True)


def refuse(uid: HeldUid, sender: SenderTitle = None) -> None:
    """Refuse changed content from another sender: it is deleted, the first content stands."""
    _decide(uid, sender, accept=False)


def _decide(uid: str, sender: str | None, *, accept: bool) -> None:
    from db.held import decide, held_by_uid

    with sessions().begin() as session:
        held = [
            one
            for one in held_by_uid(session, uid)
            if sender is None or one.sender.ae_title == sender
        ]
        _require_one_sender(uid, held)
        now = datetime.now(UTC)
        count = sum(
            decide(session, one, accept=accept, actor=operator(), now=now) for one in held
        )
    done = "accepted: the Storage SCP registers them" if accept else "refused: they are deleted"
    print(f"{count} images {done}")


def _require_one_sender(uid: str, held: "list[HeldContent]") -> None:
    """Stop unless exactly one AE title has sent changed content."""
    titles = sorted({one.sender.ae_title for one in held})
    if not titles:
        stop(f"{uid}: no changed content is held (see `python -m worker status`)")
    if len(titles) > 1:
        stop(f"{uid}: several senders; choose one with --sender: {', '.join(titles)}")
