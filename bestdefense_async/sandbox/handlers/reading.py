"""Read what a client sends: strict about what is documented, indifferent to the rest.

Source: "CI/CD automation" (documented): `options.<type>.enabled`, `options.security.options`,
`options.callback.secret`. The nested options may be left out; unknown ones are kept.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

from bestdefense_async.sandbox.world.scans import MEDIANS, ScanOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SCAN_TYPES = ("security", "seo", "dns", "whois")
_SECRET = re.compile(r"[0-9a-fA-F]{64}")


class Invalid(Exception):
    """A request the API would refuse: its message says where and why, never with which value."""


def _refuse_constant(_: str) -> NoReturn:
    message = "The body is not valid JSON."
    raise Invalid(message)


def read_json(body: bytes) -> dict[str, Any]:
    """Return the JSON object in `body`.

    Raises:
        Invalid: It is not JSON in UTF-8, nests too deep, or is not an object.
    """
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        message = "The body is not valid JSON."
        raise Invalid(message) from None
    if not isinstance(value, dict):
        message = "The body must be a JSON object."
        raise Invalid(message)
    return value


def mapping(container: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    """Return the object under `key`, empty when it is absent or null."""
    value = container.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        message = f"{where} must be an object."
        raise Invalid(message)
    return value


def text(container: Mapping[str, Any], key: str, *, most: int = 1024) -> str:
    """Return the text under `key`, which must be there and not be empty."""
    value = container.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= most:
        message = f"{key} must be a text of 1 to {most} characters."
        raise Invalid(message)
    return value


def texts(container: Mapping[str, Any], key: str, *, most: int = 1000) -> tuple[str, ...]:
    """Return the list of texts under `key`, which must hold at least one."""
    value = container.get(key)
    if (
        not isinstance(value, list)
        or not 0 < len(value) <= most
        or not all(isinstance(item, str) and item for item in value)
    ):
        message = f"{key} must be a list of 1 to {most} texts."
        raise Invalid(message)
    return tuple(value)


def flag(container: Mapping[str, Any], key: str) -> bool:
    """Return the flag under `key`, false when it is left out."""
    value = container.get(key, False)
    if not isinstance(value, bool):
        message = f"{key} must be true or false."
        raise Invalid(message)
    return value


def secret(container: Mapping[str, Any], key: str, where: str) -> None:
    """Check a callback secret; it is not kept."""
    value = container.get(key)
    if not isinstance(value, str) or _SECRET.fullmatch(value) is None:
        message = f"{where} must be 64 hexadecimal characters."
        raise Invalid(message)


def intensity(container: Mapping[str, Any], key: str = "scanIntensity") -> str:
    """Return the scan intensity, `quick` when it is left out. The default is inferred."""
    value = container.get(key, "quick")
    if not isinstance(value, str) or value not in MEDIANS:
        message = f"{key} must be one of {', '.join(MEDIANS)}."
        raise Invalid(message)
    return value


def _enabled_types(options: Mapping[str, Any]) -> Iterator[str]:
    """Yield the enabled scan types, undocumented ones included."""
    for name, value in options.items():
        if name in SCAN_TYPES and not isinstance(value, dict):
            message = f"options.{name} must be an object."
            raise Invalid(message)
        if name == "callback" or not isinstance(value, dict):
            continue
        flag = value.get("enabled", False)
        if not isinstance(flag, bool):
            message = f"options.{name}.enabled must be true or false."
            raise Invalid(message)
        if flag:
            yield name


@lru_cache(maxsize=1024)
def _shared(types: tuple[str, ...], chosen: str, sent: str) -> ScanOptions:
    """Return one object for all scans with the same options: most scans of a run share them."""
    return ScanOptions(types, chosen, json.loads(sent))


def scan_options(body: Mapping[str, Any]) -> ScanOptions:
    """Return the scan options in the body of a creation.

    Raises:
        Invalid: No scan type is enabled, or a documented option has another shape.
    """
    options = mapping(body, "options", "options")
    types = tuple(_enabled_types(options))
    if not types:
        message = "At least one scan type must be enabled."
        raise Invalid(message)
    callback = mapping(options, "callback", "options.callback")
    if callback:
        secret(callback, "secret", "options.callback.secret")
    nested = mapping(
        mapping(options, "security", "options.security"), "options", "options.security.options"
    )
    for key in ("vortexType", "testingType"):
        if not isinstance(nested.get(key, ""), str):
            message = f"options.security.options.{key} must be a text."
            raise Invalid(message)
    kept = {name: value for name, value in options.items() if name != "callback"}
    return _shared(types, intensity(nested), json.dumps(kept))


def flat_options(body: Mapping[str, Any]) -> ScanOptions:
    """Return the scan options of a schedule, in which nothing is nested: an inferred form.

    Raises:
        Invalid: No scan type is given, or an option has another shape.
    """
    options: dict[str, Any] = {kind: {"enabled": True} for kind in texts(body, "types")}
    nested = {"vortexType": "analog", "testingType": "web", "scanIntensity": "quick"}
    nested |= {name: body[name] for name in nested if body.get(name) is not None}
    if "security" in options:
        options["security"]["options"] = nested
    return scan_options({"options": options})
