"""JSON Schema of job files, for editors and checks: `python -m ten.schema > jobs/schema/job.schema.json`."""

import json
import sys
from typing import Any

import msgspec

from ten.job import JobSpec

_VARIABLE = {"type": "string", "pattern": r"\$\{\w+(:-[^}]*)?\}", "description": "${NAME} or ${NAME:-default}"}
_TITLE = "Job file of the TEN job bundle"


def job_schema() -> dict[str, Any]:
    """What a job file may say. A value of any type may be a variable of the environment instead."""
    schema: dict[str, Any] = msgspec.json.schema(JobSpec)
    definitions = {name: _definition(tree) for name, tree in schema["$defs"].items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": _TITLE,
        "$ref": schema["$ref"],
        "$defs": {**definitions, "Variable": _VARIABLE},
    }


def _definition(tree: dict[str, Any]) -> dict[str, Any]:
    return {**tree, "properties": {name: _property(field) for name, field in tree["properties"].items()}}


def _property(field: dict[str, Any]) -> dict[str, Any]:
    """A field that also takes a variable, unless it is a mapping of fields or takes any text anyway."""
    about = {name: value for name, value in field.items() if name in ("description", "default")}
    kind = {name: value for name, value in field.items() if name not in about}
    if "$ref" in kind:  # its fields have defaults of their own
        return {"description": about["description"], **kind}
    choices = kind.get("anyOf", [kind])
    if "array" in (choice.get("type") for choice in choices) or {"type": "string"} in choices:
        return field
    return {**about, "anyOf": [*choices, {"$ref": "#/$defs/Variable"}]}


def main() -> None:
    """Write the schema to stdout."""
    sys.stdout.write(json.dumps(job_schema(), indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
