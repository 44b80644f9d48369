"""A stand-in for the BestDefense API to try everything against: a real, stateful, seeded server.

It imports nothing of the client, so that a misspelt field cannot be right on both sides.
"""

from bestdefense_async.sandbox.faults import Fault, FaultPlan
from bestdefense_async.sandbox.fleet import Site
from bestdefense_async.sandbox.ledger import Arrival
from bestdefense_async.sandbox.server import Sandbox
from bestdefense_async.sandbox.serving import serve
from bestdefense_async.sandbox.tokens import PERMISSIONS

__all__ = ["PERMISSIONS", "Arrival", "Fault", "FaultPlan", "Sandbox", "Site", "serve"]
