"""Policies: documents that allow or deny actions on resources to principals. Pure: no node, no request, no clock.

glob        patterns with * and ?, and policy variables
actions     the names that exist: actions, condition keys
conditions  the operators of Condition
document    JSON to statements, and what is refused
evaluate    what the statements say about a request
public      whether a bucket policy lets anyone in

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
"""

from ironbucket.s3.policy.conditions import Values
from ironbucket.s3.policy.document import (
    MAX_BUCKET_POLICY,
    Names,
    Policy,
    Principal,
    Statement,
    parse_bucket,
    parse_identity,
    stored,
)
from ironbucket.s3.policy.evaluate import Decision, Subject, evaluate
from ironbucket.s3.policy.public import is_public

__all__ = [
    "MAX_BUCKET_POLICY",
    "Decision",
    "Names",
    "Policy",
    "Principal",
    "Statement",
    "Subject",
    "Values",
    "evaluate",
    "is_public",
    "parse_bucket",
    "parse_identity",
    "stored",
]
