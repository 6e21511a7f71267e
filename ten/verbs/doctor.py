"""The verb that looks for what is wrong before it costs anything: doctor."""

import argparse

import msgspec

from ten.doctor.examination import examine, exit_code
from ten.doctor.finding import Finding, hide_secrets, refused
from ten.doctor.report import describe_end, describe_finding
from ten.doctor.subject import Subject
from ten.doctor.whereabouts import Whereabouts
from ten.errors import SpecError, TenError
from ten.verbs.jobs import job_of
from ten.verbs.terminal import as_json, show


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` prints."""

    ok: bool
    """Whether nothing failed."""
    where: Whereabouts | None
    """None where the job itself is wrong, and nothing was looked at."""
    findings: list[Finding]


def doctor(arguments: argparse.Namespace) -> int:
    """Check a job, this machine and its services; 78 where something fails."""
    try:
        subject = Subject(job_of(arguments, "train"))
    except TenError as error:
        return _refuse(error, arguments.json)
    found: list[Finding] = []
    for finding in examine(subject):
        found.append(finding)
        if not arguments.json:
            show(describe_finding(finding))
    code = exit_code(found)
    if arguments.json:
        show(as_json(Report(ok=code == 0, where=subject.where, findings=found)))
    else:
        show(describe_end(found, subject.where))
    return code


def _refuse(error: TenError, json: bool) -> int:
    """A job that cannot be read is the first thing that is wrong, and the last that can be found."""
    verdict = refused(hide_secrets(str(error)))
    finding = Finding(check="job", status="fail", value=verdict.value, cure=verdict.cure)
    show(as_json(Report(ok=False, where=None, findings=[finding])) if json else describe_finding(finding))
    return SpecError.exit_code
