"""AWS IoT Jobs over MQTT: topics, executions, errors.

Source: AWS IoT Core Developer Guide, 'Jobs device MQTT API operations', 'Error codes'.

>>> jobs_topic("boiler1", "start-next", "accepted")
'$aws/things/boiler1/jobs/start-next/accepted'
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gl002.errors import Busy, DataError, GL002Error, RequestFailed, TagNotFound
from gl002.wire.json_payload import decode

SUCCEEDED, FAILED = "SUCCEEDED", "FAILED"
LONGEST_DETAIL = 1024
"""Characters that a detail of a status may have."""

_PASSES = {"RequestThrottled", "InternalError"}


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job that the cloud wants done, as one execution on this thing.

    Attributes:
        id: of the job.
        document: what is to be done, in words of your own.
        version: of the execution; grows with each change of its status.
        execution: number of this execution among those of the job.
    """

    id: str
    document: Any = None
    version: int = 0
    execution: int = 0


def jobs_topic(thing: str, *verbs: str) -> str:
    """A topic of the jobs of a thing."""
    return "/".join(["$aws/things", thing, "jobs", *verbs])


def job_in(content: object) -> Job | None:
    """The execution that an answer or a notice holds; None where no job waits.

    Raises:
        DataError: it is no message of the jobs service.
    """
    if not isinstance(content, Mapping):
        raise DataError("no JSON object, as the jobs service sends")
    execution = content.get("execution")
    if not execution:
        return None
    if not isinstance(execution, dict) or not isinstance(execution.get("jobId"), str):
        raise DataError("'execution' is no job: an object with 'jobId' is expected")
    return Job(
        id=execution["jobId"],
        document=execution.get("jobDocument"),
        version=int(execution.get("versionNumber", 0)),
        execution=int(execution.get("executionNumber", 0)),
    )


def status_update(job: Job, status: str, details: Mapping[str, object]) -> dict[str, Any]:
    """The request that tells what became of a job; only if nobody has changed it meanwhile."""
    return {
        "status": status,
        "statusDetails": {key: str(value)[:LONGEST_DETAIL] for key, value in details.items()},
        "expectedVersion": str(job.version),
        "executionNumber": job.execution,
    }


def refusal(payload: bytes, what: str) -> GL002Error:
    """The error that a message under '.../rejected' tells of."""
    content = decode(payload)
    code = content.get("code") if isinstance(content, dict) else None
    reason = content.get("message", "no reason given") if isinstance(content, dict) else ""
    message = f"{what}: refused with {code}: {reason}"
    if code == "ResourceNotFound":
        return TagNotFound(message)
    return Busy(message) if code in _PASSES else RequestFailed(message)
