"""Wait for the results of the demo, and collect what the receiving PACS got."""

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from db.history import SeriesHistory, series_history
from db.session import make_engine, make_sessions
from db.states import FINAL, DeliveryState, SeriesState
from deploy.demo.console import console
from deploy.demo.input import DemoSeries, DemoStudy
from deploy.demo.stack import DemoStack

SERIES_SECONDS = 120.0
# Both pictures match *.sc.dcm.
SUFFIXES: Mapping[str, str] = {"overlay": "overlay.sc"}

Histories = Mapping[str, SeriesHistory | None]


def wait_for_results(demo: DemoStack, sent: Sequence[DemoStudy]) -> Histories:
    """Wait until every series has ended; return the history of each by its UID."""
    sessions = make_sessions(make_engine(demo.database_url, application_name="demo"))
    uids = [series.series_instance_uid for study in sent for series in study.series]
    deadline = time.monotonic() + SERIES_SECONDS * (1 + len(uids) / 4)
    with console.status("") as status:
        while True:
            with sessions.begin() as session:
                histories = {uid: series_history(session, uid) for uid in uids}
            states = [
                history.series.state.value if history else "not registered"
                for history in histories.values()
            ]
            if all(state in FINAL for state in states) or time.monotonic() > deadline:
                return histories
            counts = (f"{states.count(state)} {state}" for state in sorted(set(states)))
            status.update(f"waiting for SR and SC, series: {', '.join(counts)}")
            demo.check()
            time.sleep(0.2)


def collect(
    demo: DemoStack, study: DemoStudy, histories: Histories, out: Path
) -> list[dict[str, Any]]:
    """Copy the objects that the PACS received; return the entries of ``summary.json``."""
    return [
        {
            "study_uid": study.study_instance_uid,
            **_collect_series(demo, one, histories[one.series_instance_uid], out),
        }
        for one in study.series
    ]


def _collect_series(
    demo: DemoStack, sent: DemoSeries, history: SeriesHistory | None, out: Path
) -> dict[str, Any]:
    uid = sent.series_instance_uid
    series = history.series if history else None
    runs = history.screenings if history else ()
    result = next((run.result for run in reversed(runs) if run.result), None)
    paths: dict[str, str | None] = {"sr": None, "sc": None, "overlay": None, "png": None}
    problems = []
    for delivered in history.deliveries if history else ():
        one = delivered.result_object
        received = demo.pacs_dir / f"{one.sop_instance_uid}.dcm"
        if received.exists():
            paths[one.role] = str(
                shutil.copy(received, out / f"{uid}.{SUFFIXES.get(one.role, one.role)}.dcm")
            )
        else:
            problems.append(f"{uid}: {one.role.upper()} did not arrive at the PACS")
    if result and result["outputs"]["png"]:
        paths["png"] = str(shutil.copy(result["outputs"]["png"], out / f"{uid}.png"))
    problems += problems_of(sent, history)
    return {
        "series_uid": uid,
        "description": sent.description,
        "simulated": sent.simulated,
        "instances": len(sent.paths),
        "rank": series.rank if series else None,
        "state": result["state"] if result else (series.state.value if series else "lost"),
        "delivered": series is not None and series.state is SeriesState.DELIVERED,
        "reason": _reason(history),
        "orientation": result["orientation"] if result else None,
        "hips": result["hips"] if result else [],
        "grade": result["grade"] if result else None,
        **paths,
        "problems": problems,
    }


def _reason(history: SeriesHistory | None) -> dict[str, str | None] | None:
    if history is None or history.series.reason_code is None:
        return None
    return {"code": history.series.reason_code, "text": history.series.reason_text}


def problems_of(sent: DemoSeries, history: SeriesHistory | None) -> list[str]:
    """Return the problems with the outcome of a series."""
    uid = sent.series_instance_uid
    if history is None:
        return [f"{uid}: the Storage SCP did not register it"]
    series = history.series
    if series.state not in FINAL:
        errors = sorted(
            {
                f"; {one.delivery.destination}: {one.delivery.error}"
                for one in history.deliveries
                if one.delivery.state is DeliveryState.DUE and one.delivery.error
            }
        )
        return [f"{uid}: still {series.state} when the demo ended{''.join(errors)}"]
    if series.state is SeriesState.FAILED:
        return [f"{uid}: failed ({series.error})"]
    if sent.expected is not None and series.state is not sent.expected:
        return [f"{uid}: {series.state}, but must be {sent.expected}"]
    return []
