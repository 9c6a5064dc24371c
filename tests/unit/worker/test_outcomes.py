"""Which answers of a destination are final."""

from datetime import UTC, datetime

import pytest

from worker.outcomes import Accepted, Refused, Unreachable, of_http, of_status, seconds_of


@pytest.mark.parametrize(
    "status", [0x0000, 0xB000, 0xB006, 0xB007, 0xB123, 0x0001, 0x0107, 0x0116]
)
def test_success_and_warnings_are_accepted_with_their_status(status: int) -> None:
    assert of_status(status) == Accepted(f"0x{status:04X}")


def test_an_object_that_is_there_already_is_accepted() -> None:
    assert of_status(0x0111) == Accepted("0x0111")


@pytest.mark.parametrize("status", [0xA700, 0xA702, 0xA7FF, 0x0110, 0x0213])
def test_want_of_resources_passes(status: int) -> None:
    assert isinstance(of_status(status), Unreachable)


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
def test_other_failures_are_final_and_say_what_they_mean(status: int, text: str) -> None:
    assert of_status(status) == Refused(f"0x{status:04X}", text)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (200, Accepted),
        (202, Accepted),
        (301, Refused),
        (400, Refused),
        (401, Refused),
        (404, Refused),
        (409, Refused),
        (408, Unreachable),
        (429, Unreachable),
        (500, Unreachable),
        (503, Unreachable),
    ],
)
def test_http_status_says_whether_to_try_again(code: int, kind: type) -> None:
    outcome = of_http(code)

    assert isinstance(outcome, kind)
    assert outcome.status == f"HTTP {code}"


@pytest.mark.parametrize("code", [429, 503])
def test_a_server_says_when_to_come_back(code: int) -> None:
    outcome = of_http(code, "120")

    assert isinstance(outcome, Unreachable)
    assert outcome.retry_after_seconds == 120


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
def test_retry_after_is_seconds_or_a_date_and_never_absurd(
    retry_after: str | None, seconds: float
) -> None:
    assert seconds_of(retry_after, now=datetime(2026, 11, 26, 12, 0, tzinfo=UTC)) == seconds
