"""Plug-in for Orthanc: send the CT series of a complete study to osteoscreen, in one job.

The same as auto-route.lua, for an Orthanc with the Python plug-in (``PythonScript`` in its
configuration). Use one of the two. Results (SR, SC) are not CT and are not sent back. A series
that does not suit is rejected with a reason; a series that is not sent is never screened.

Before release 3.1 of the plug-in a callback that calls Orthanc could end in a deadlock.
"""

import json
from typing import Any

import orthanc

DESTINATION = "osteoscreen"
UNWANTED = {"HEAD", "BRAIN", "SINUS", "NECK", "CSPINE"}
# Metadata of a study: what was sent of it. It is stable again when the results have arrived.
SENT = "2024"


def on_change(change: int, level: int, resource: str) -> None:
    """Route a study that has become stable."""
    if change == orthanc.ChangeType.STABLE_STUDY:
        route(resource)


def route(study: str) -> None:
    """Send the CT series of a study, unless just these were sent before."""
    series = json.loads(orthanc.RestApiGet(f"/studies/{study}/series"))
    wanted = [one for one in series if is_wanted(one["MainDicomTags"])]
    content = " ".join(sorted(f"{one['ID']}:{len(one['Instances'])}" for one in wanted))
    metadata = json.loads(orthanc.RestApiGet(f"/studies/{study}/metadata?expand"))
    if not wanted or metadata.get(SENT) == content:
        return
    # A job sends all series over one association, and the release of the association tells
    # osteoscreen that they are complete.
    job = {"Resources": [one["ID"] for one in wanted], "Synchronous": False}
    orthanc.RestApiPost(f"/modalities/{DESTINATION}/store", json.dumps(job))
    orthanc.RestApiPut(f"/studies/{study}/metadata/{SENT}", content)


def is_wanted(tags: dict[str, Any]) -> bool:
    """Return whether a series is CT and not of head or neck."""
    return tags.get("Modality") == "CT" and (
        tags.get("BodyPartExamined", "").upper() not in UNWANTED
    )


orthanc.RegisterOnChangeCallback(on_change)
