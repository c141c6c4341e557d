"""Who may do what: the one place that every operation asks, per resource it touches.

Today every account that authenticates may do everything and nobody else anything. Policies, ACLs and
public access are decided here and nowhere else.
"""

from __future__ import annotations

from ironbucket.errors import AccessDenied
from ironbucket.s3.request import Request


def authorise(request: Request, action: str, bucket: str, key: str) -> None:
    """Raise AccessDenied unless the request's identity may perform `action` (s3:PutObject, ...) there."""
    del action, bucket, key  # what a policy will look at
    if request.identity is None:
        raise AccessDenied
