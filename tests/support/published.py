"""The schemas that outputs are held against: those we publish, and those of OASIS and Ant."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import xmlschema
from jsonschema import Draft4Validator, Draft202012Validator

DATA = Path(__file__).parent.parent / "data"


def validator(name: str) -> Draft202012Validator:
    """Return a validator for a published schema, which must itself be valid."""
    folder = files("bestdefense_async.report.formats") / "schemas"
    schema = json.loads((folder / name).read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@cache
def sarif_validator() -> Draft4Validator:
    """Return the validator of SARIF 2.1.0."""
    schema: dict[str, Any] = json.loads((DATA / "sarif-schema-2.1.0.json").read_text("utf-8"))
    return Draft4Validator(schema)


@cache
def junit_validator() -> xmlschema.XMLSchema:
    """Return the validator of the JUnit files that Ant and Jenkins read."""
    return xmlschema.XMLSchema(DATA / "junit.xsd")
