"""The JSON Schemas that the package publishes."""

from __future__ import annotations

import json
from importlib.resources import files

from jsonschema import Draft202012Validator


def validator(name: str) -> Draft202012Validator:
    """Return a validator for a published schema, which must itself be valid."""
    folder = files("bestdefense_async.report.formats") / "schemas"
    schema = json.loads((folder / name).read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)
