"""Report: findings for people: a line each, the cure below what needs one, and a last line that counts them."""

from collections import Counter
from collections.abc import Sequence

from ten.doctor.examination import CHECKS
from ten.doctor.finding import Finding
from ten.doctor.whereabouts import Whereabouts

_NAME_WIDTH = max(map(len, CHECKS))
_STATUS_WIDTH = len("skipped")
_KINDS = {
    "container": "in a container",
    "host": "on a machine with {engine}",
    "machine": "on a machine without a container engine that answers",
}


def describe_finding(finding: Finding) -> str:
    """A check's line, and its cure's."""
    line = f"{finding.status:<{_STATUS_WIDTH}}  {finding.check:<{_NAME_WIDTH}}  {finding.value}"
    return line if finding.cure is None else f"{line}\n{'':<{_STATUS_WIDTH + 2}}→ {finding.cure}"


def describe_end(findings: Sequence[Finding], where: Whereabouts) -> str:
    """How many of each, and where that was."""
    counts = Counter(finding.status for finding in findings)
    told = ", ".join(f"{counts[status]} {status}" for status in ("ok", "warn", "fail", "skipped") if counts[status])
    return f"{told}; checked {_KINDS[where.kind].format(engine=where.engine)}"
