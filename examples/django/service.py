"""Scans from Django, which has no event loop: a background client, one for each worker process.

    pip install bestdefense-async django gunicorn
    BD_API_TOKEN_FILE=/run/secrets/bestdefense gunicorn --workers 2 service:application

`background` may be made where modules are imported: its thread starts when it is first used, so
that each worker has its own. All of them share the store: a scan that one worker follows is found
by the others. Put the views and the URLs into an application of yours; what is above them is only
here to make this file run by itself.
"""

import json
import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from bestdefense_async import (
    AuthError,
    BackgroundClient,
    BestDefense,
    BestDefenseError,
    ClientClosed,
    QuotaExceeded,
    TargetError,
    UnknownSite,
)

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=os.environ.get("ALLOWED_HOSTS", "127.0.0.1,localhost").split(","),
        ROOT_URLCONF=__name__,
        SECRET_KEY=os.environ.get("SECRET_KEY", os.urandom(32).hex()),
    )
    django.setup()


def client() -> BestDefense:
    """Make the client, with the token that the platform puts into a file."""
    token_file = os.environ.get("BD_API_TOKEN_FILE")
    return BestDefense(None if token_file is None else Path(token_file))


background = BackgroundClient(
    client,
    store=os.environ.get("SCANS_STORE", "scans.db"),
    drain=float(os.environ.get("SCANS_DRAIN", "10")),
)


def refusals(view: Callable[..., JsonResponse]) -> Callable[..., JsonResponse]:
    """Answer every error of the client with its sentence, which holds no token."""

    @wraps(view)
    def answered(request: HttpRequest, *args: str, **values: str) -> JsonResponse:
        try:
            answer = view(request, *args, **values)
        except BestDefenseError as error:
            status = 502
            if isinstance(error, TargetError):
                status = 404 if isinstance(error, UnknownSite) else 422
            elif isinstance(error, AuthError | QuotaExceeded | ClientClosed):
                status = 503
            return JsonResponse({"detail": str(error), "kind": error.kind}, status=status)
        return answer

    return answered


@csrf_exempt
@require_POST
@refusals
def start(request: HttpRequest) -> JsonResponse:
    """Start a scan, or join the one that is under way."""
    try:
        site = str(json.loads(request.body)["site"])
    except (ValueError, TypeError, KeyError):
        return JsonResponse({"detail": "Send a JSON object with the member site."}, status=400)
    scan_id = background.start(site, asked_by=request.headers.get("X-User"))
    return JsonResponse({"id": scan_id}, status=202, headers={"Location": f"/scans/{scan_id}"})


@csrf_exempt
@require_http_methods(["GET", "DELETE"])
@refusals
def scan(request: HttpRequest, scan_id: str) -> JsonResponse:
    """Say where a scan stands, or give it up."""
    if background.find(scan_id) is None:
        return JsonResponse({"detail": "There is no such scan."}, status=404)
    if request.method == "DELETE":
        background.cancel(scan_id)
    update = background.find(scan_id)
    return JsonResponse({} if update is None else update.as_dict())


def live(_request: HttpRequest) -> JsonResponse:
    """Say that the worker answers."""
    return JsonResponse({"status": "alive"})


urlpatterns = [
    path("scans", start),
    path("scans/<str:scan_id>", scan),
    path("health/live", live),
]
application = get_wsgi_application()
