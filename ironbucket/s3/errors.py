"""The one table that translates an error into an HTTP status, and the document that S3 clients read.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

from collections.abc import Mapping

from ironbucket import errors
from ironbucket.errors import S3Error
from ironbucket.s3.xml import escape

_BY_STATUS: dict[int, tuple[type[S3Error], ...]] = {
    304: (errors.NotModified,),
    400: (
        errors.AccessControlListNotSupported,
        errors.AuthorizationHeaderMalformed,
        errors.AuthorizationQueryParametersError,
        errors.BadDigest,
        errors.BadRequest,
        errors.EntityTooLarge,
        errors.EntityTooSmall,
        errors.ExpiredToken,
        errors.IllegalLocationConstraintException,
        errors.IllegalVersioningConfigurationException,
        errors.IncompleteBody,
        errors.InvalidArgument,
        errors.InvalidBucketAclWithObjectOwnership,
        errors.InvalidBucketName,
        errors.InvalidDigest,
        errors.InvalidEncryptionAlgorithmError,
        errors.InvalidLocationConstraint,
        errors.InvalidPart,
        errors.InvalidPartOrder,
        errors.InvalidPolicyDocument,
        errors.InvalidRequest,
        errors.InvalidStorageClass,
        errors.InvalidTag,
        errors.InvalidTargetBucketForLogging,
        errors.InvalidToken,
        errors.InvalidURI,
        errors.KeyTooLongError,
        errors.MalformedACLError,
        errors.MalformedPOSTRequest,
        errors.MalformedPolicy,
        errors.MalformedTrailerError,
        errors.MalformedXML,
        errors.MaxMessageLengthExceeded,
        errors.MaxPostPreDataLengthExceededError,
        errors.MetadataTooLarge,
        errors.MissingRequestBodyError,
        errors.MissingSecurityHeader,
        errors.RequestHeaderSectionTooLarge,
        errors.RequestTimeout,
        errors.TooManyBuckets,
        errors.TooManyParts,
        errors.UnexpectedContent,
        errors.UnresolvableGrantByEmailAddress,
        errors.XAmzContentChecksumMismatch,
        errors.XAmzContentSHA256Mismatch,
    ),
    403: (
        errors.AccessDenied,
        errors.AccessForbidden,
        errors.AccountProblem,
        errors.InvalidAccessKeyId,
        errors.InvalidObjectState,
        errors.QuotaExceeded,
        errors.RequestTimeTooSkewed,
        errors.SignatureDoesNotMatch,
    ),
    404: (
        errors.NoSuchBucket,
        errors.NoSuchBucketPolicy,
        errors.NoSuchConfiguration,
        errors.NoSuchCORSConfiguration,
        errors.NoSuchKey,
        errors.NoSuchLifecycleConfiguration,
        errors.NoSuchObjectLockConfiguration,
        errors.NoSuchPublicAccessBlockConfiguration,
        errors.NoSuchTagSet,
        errors.NoSuchUpload,
        errors.NoSuchVersion,
        errors.NoSuchWebsiteConfiguration,
        errors.ObjectLockConfigurationNotFoundError,
        errors.OwnershipControlsNotFoundError,
        errors.ReplicationConfigurationNotFoundError,
        errors.ServerSideEncryptionConfigurationNotFoundError,
    ),
    405: (errors.MethodNotAllowed,),
    409: (
        errors.BucketAlreadyExists,
        errors.BucketAlreadyOwnedByYou,
        errors.BucketNotEmpty,
        errors.InvalidBucketState,
        errors.OperationAborted,
    ),
    411: (errors.MissingContentLength,),
    412: (errors.PreconditionFailed,),
    416: (errors.InvalidPartNumber, errors.InvalidRange),
    500: (errors.InternalError,),
    501: (errors.NotImplemented,),
    503: (errors.ServiceUnavailable, errors.SlowDown),
    507: (errors.StorageFull,),  # clients do not retry it, as they would a 503: room does not come by waiting
}

STATUS: Mapping[type[S3Error], int] = {cls: number for number, classes in _BY_STATUS.items() for cls in classes}

#: S3's second id for its support staff; one word here, since clients print it and some require it
HOST_ID = "IronBucket"


def status(error: S3Error) -> int:
    """The HTTP status of an error; that of the nearest class in the table, 500 for none."""
    for cls in type(error).__mro__:
        if cls in STATUS:
            return STATUS[cls]
    return 500


def document(error: S3Error, resource: str, request_id: str, host_id: str = HOST_ID) -> bytes:
    """The XML error document.

    Details become elements when their names begin with a capital, as S3's do; the others are for the program.
    """
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>\n<Error>'
        f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
    ]
    lines += [f"<{name}>{escape(value)}</{name}>" for name, value in error.details.items() if name[:1].isupper()]
    lines.append(
        f"<Resource>{escape(resource)}</Resource><RequestId>{escape(request_id)}</RequestId>"
        f"<HostId>{host_id}</HostId></Error>"
    )
    return "".join(lines).encode("utf-8", "replace")
