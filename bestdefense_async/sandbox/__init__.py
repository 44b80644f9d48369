"""A stand-in for the BestDefense API to try everything against: a real, stateful, seeded server.

It imports nothing of the client, so that a misspelt field cannot be right on both sides.
"""

from bestdefense_async.sandbox.server.sandbox import Sandbox
from bestdefense_async.sandbox.server.serving import serve
from bestdefense_async.sandbox.world.faults import Fault, FaultPlan
from bestdefense_async.sandbox.world.fleet import Site
from bestdefense_async.sandbox.world.ledger import Arrival
from bestdefense_async.sandbox.world.specs import FindingSpec, OrganizationSpec, SiteSpec
from bestdefense_async.sandbox.world.tokens import PERMISSIONS, Token

__all__ = [
    "PERMISSIONS",
    "Arrival",
    "Fault",
    "FaultPlan",
    "FindingSpec",
    "OrganizationSpec",
    "Sandbox",
    "Site",
    "SiteSpec",
    "Token",
    "serve",
]
