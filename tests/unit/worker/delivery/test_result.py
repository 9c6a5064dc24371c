"""Covered: which answers of a destination are permanent and which are transient."""

from datetime import UTC, datetime

import pytest

from db.commitment import NOT_COMMITTED
from worker.delivery.result import (
    DEADLINE,
    Accepted,
    Refused,
    Unreachable,
    may_be_stored,
    of_http,
    of_status,
    seconds_of,
)


@pytest.mark.parametrize(
    "status", [0x0000, 0xB000, 0xB006, 0xB007, 0xB123, 0x0001, 0x0107, 0x0116]
)
def test_success_and_warnings_are_accepted_with_their_status(status: int) -> None:
    assert of_status(status) == Accepted(f"0x{status:04X}")


def test_an_object_that_is_already_stored_is_accepted() -> None:
    assert of_status(0x0111) == Accepted("0x0111")


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (0xA700, "out of resources"),
        (0xA702, "out of resources"),
        (0xA7FF, "out of resources"),
        (0x0110, "processing failure"),
        (0x0213, "resource limitation"),
    ],
)
def test_a_lack_of_resources_is_transient(status: int, text: str) -> None:
    assert of_status(status) == Unreachable(f"0x{status:04X}", text)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (0xA900, "data set does not match SOP class"),
        (0xC000, "cannot understand"),
        (0xC123, "cannot understand"),
        (0x0122, "SOP class not supported"),
        (0x0124, "not authorized"),
        (0xC122, "transfer syntax not supported"),
        (0x0123, "failure"),
    ],
)
def test_other_failures_are_permanent_and_name_their_meaning(status: int, text: str) -> None:
    assert of_status(status) == Refused(f"0x{status:04X}", text)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (200, Accepted),
        (202, Accepted),
        (400, Refused),
        (413, Refused),
        (301, Unreachable),
        (401, Unreachable),
        (403, Unreachable),
        (404, Unreachable),
        (408, Unreachable),
        (409, Unreachable),
        (425, Unreachable),
        (429, Unreachable),
        (500, Unreachable),
        (503, Unreachable),
    ],
)
def test_http_status_says_whether_to_try_again(code: int, kind: type) -> None:
    outcome = of_http(code)

    assert isinstance(outcome, kind)
    assert outcome.status == f"HTTP {code}"


@pytest.mark.parametrize(
    ("code", "blocks"),
    [
        (301, True),
        (401, True),
        (404, True),
        (415, True),
        (503, True),
        (409, False),
        (500, False),
    ],
)
def test_a_status_about_us_or_the_server_blocks_the_destination(
    code: int, blocks: bool
) -> None:
    outcome = of_http(code)

    assert isinstance(outcome, Unreachable)
    assert outcome.blocks_destination == blocks


@pytest.mark.parametrize("code", [429, 503])
def test_the_server_sets_the_earliest_time_of_the_next_attempt(code: int) -> None:
    assert of_http(code, "120") == Unreachable(
        f"HTTP {code}", "the server cannot take it now", 120, blocks_destination=True
    )


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("Thu, 26 Nov 2026 12:01:40 GMT", 100),
        ("Thu, 26 Nov 2026 11:00:00 GMT", 0),
        ("99999999", 86_400),
        ("-5", 0),
        ("nan", 0),
        ("soon", 0),
        (None, 0),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_at_most_one_day(
    retry_after: str | None, seconds: float
) -> None:
    assert seconds_of(retry_after, now=datetime(2026, 11, 26, 12, 0, tzinfo=UTC)) == seconds


@pytest.mark.parametrize(
    ("outcome", "may_be"),
    [
        (Refused("0x0122", "SOP class not supported"), False),
        (Refused(NOT_COMMITTED, "no such object instance"), True),
        (Unreachable("no connection", "", blocks_destination=True), False),
        (Unreachable("no answer", "the association ended during C-STORE"), True),
        (Unreachable(DEADLINE, "", blocks_destination=True), True),
    ],
)
def test_an_attempt_without_an_answer_may_have_stored_the_object(
    outcome: Refused | Unreachable, may_be: bool
) -> None:
    assert may_be_stored(outcome) is may_be
