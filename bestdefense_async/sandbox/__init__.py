"""A stand-in for the BestDefense API to try everything against: a real, stateful, seeded server.

It imports nothing of the client, so that a misspelt field cannot be right on both sides.
"""

from bestdefense_async.sandbox.server.sandbox import Sandbox, serve
from bestdefense_async.sandbox.world.faults import Fault, FaultPlan
from bestdefense_async.sandbox.world.fleet import Site
from bestdefense_async.sandbox.world.tokens import PERMISSIONS
from bestdefense_async.sandbox.world.world import Arrival

__all__ = ["PERMISSIONS", "Arrival", "Fault", "FaultPlan", "Sandbox", "Site", "serve"]
