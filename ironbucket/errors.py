"""Every failure has one name: the S3 code where S3 has one, our own where it has none.

This module knows no HTTP; ``ironbucket.s3.errors`` maps each class to a status. A class's docstring is
the message a user reads unless the raiser gives a better one.

    IronBucketError                 what an operator meets on the command line (has an exit status)
      ConfigurationError            2
      LogDamaged                    3  bytes of a log that are not what was written
      LogBehindIndex                3  the index has seen records that the log no longer has
      EpochDiverged                 4  two different records under one (node, epoch, sequence)
      AlreadyRunning                75 another instance holds the lock
      S3Error                       what an S3 client meets (has a code)
        NoSuchKey, BucketNotEmpty, ...

Source of codes and messages: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

from typing import ClassVar


class IronBucketError(Exception):
    """Something went wrong."""

    exit_status: ClassVar[int] = 1

    def __init__(self, message: str | None = None, **details: str) -> None:
        self.message = message if message is not None else _first_paragraph(type(self))
        #: further facts by name; S3 errors show them as elements of the error document
        self.details = details
        super().__init__(self.message)


def _first_paragraph(cls: type) -> str:
    return " ".join((cls.__doc__ or "").strip().split("\n\n")[0].split())


class ConfigurationError(IronBucketError):
    """The configuration is not valid."""

    exit_status = 2


class LogDamaged(IronBucketError):
    """The log holds bytes that are not what was written."""

    exit_status = 3

    def __init__(self, path: str, offset: int, reason: str) -> None:
        self.path, self.offset, self.reason = path, offset, reason
        super().__init__(
            f"{path}: damaged at byte {offset}: {reason}. "
            f"Inspect it with 'ironbucket wal verify', repair it with 'ironbucket wal repair'."
        )


class LogBehindIndex(IronBucketError):
    """The index has applied records that the log no longer holds. Run 'ironbucket recover' to rebuild the index."""

    exit_status = 3


class EpochDiverged(IronBucketError):
    """Two different records carry the same node, epoch and sequence: the log was restored from an old copy."""

    exit_status = 4


class AlreadyRunning(IronBucketError):
    """Another instance is running."""

    exit_status = 75  # EX_TEMPFAIL


class S3Error(IronBucketError):
    """We encountered an internal error. Please try again."""

    @property
    def code(self) -> str:
        """The S3 code: the class's name, or that of the class it refines."""
        return next((cls.__name__ for cls in type(self).__mro__ if S3Error in cls.__bases__), "S3Error")


class AccessControlListNotSupported(S3Error):
    """The bucket does not allow ACLs"""


class AccessDenied(S3Error):
    """Access Denied"""


class Anonymous(AccessDenied):
    """Access Denied

    The request carries no credentials: it may do what is allowed to everyone.
    """


class AccessForbidden(S3Error):
    """CORSResponse: This CORS request is not allowed."""


class AccountProblem(S3Error):
    """There is a problem with your account that prevents the operation from completing successfully."""


class AuthorizationHeaderMalformed(S3Error):
    """The authorization header that you provided is not valid."""


class AuthorizationQueryParametersError(S3Error):
    """The authorization query parameters that you provided are not valid."""


class BadRequest(S3Error):
    """An error occurred when parsing the HTTP request."""


class BadDigest(S3Error):
    """The Content-MD5 or checksum value that you specified did not match what the server received."""


class BucketAlreadyExists(S3Error):
    """The requested bucket name is not available. The bucket namespace is shared by all users of the system."""


class BucketAlreadyOwnedByYou(S3Error):
    """The bucket that you tried to create already exists, and you own it."""


class BucketNotEmpty(S3Error):
    """The bucket you tried to delete is not empty."""


class EntityTooLarge(S3Error):
    """Your proposed upload exceeds the maximum allowed object size."""


class EntityTooSmall(S3Error):
    """Your proposed upload is smaller than the minimum allowed object size."""


class ExpiredToken(S3Error):
    """The provided token has expired."""


class IllegalVersioningConfigurationException(S3Error):
    """The Versioning element must be specified"""


class IllegalLocationConstraintException(S3Error):
    """The specified location-constraint is not valid for this endpoint."""


class IncompleteBody(S3Error):
    """You did not provide the number of bytes specified by the Content-Length HTTP header."""


class InternalError(S3Error):
    """We encountered an internal error. Please try again."""


class InvalidAccessKeyId(S3Error):
    """The AWS access key ID that you provided does not exist in our records."""


class InvalidArgument(S3Error):
    """Invalid Argument"""


class InvalidBucketAclWithObjectOwnership(S3Error):
    """Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"""


class InvalidBucketName(S3Error):
    """The specified bucket is not valid."""


class InvalidBucketState(S3Error):
    """The request is not valid for the current state of the bucket."""


class InvalidDigest(S3Error):
    """The Content-MD5 or checksum value that you specified is not valid."""


class InvalidEncryptionAlgorithmError(S3Error):
    """The encryption request that you specified is not valid. The valid value is AES256."""


class InvalidLocationConstraint(S3Error):
    """The specified location constraint is not valid."""


class InvalidObjectState(S3Error):
    """The operation is not valid for the current state of the object."""


class InvalidPart(S3Error):
    """One or more of the specified parts could not be found.

    The part might not have been uploaded, or the specified entity tag might not have matched the part's entity tag.
    """


class InvalidPartNumber(S3Error):
    """The requested partnumber is not satisfiable"""


class InvalidPartOrder(S3Error):
    """The list of parts was not in ascending order. Parts must be ordered by part number."""


class InvalidPolicyDocument(S3Error):
    """The content of the form does not meet the conditions specified in the policy document."""


class InvalidRange(S3Error):
    """The requested range is not satisfiable"""


class InvalidRequest(S3Error):
    """The request is not valid."""


class InvalidStorageClass(S3Error):
    """The storage class that you specified is not valid."""


class InvalidTag(S3Error):
    """The tag provided was not a valid tag."""


class InvalidTargetBucketForLogging(S3Error):
    """The target bucket for logging does not exist or is not owned by you."""


class InvalidToken(S3Error):
    """The provided token is malformed or otherwise not valid."""


class InvalidURI(S3Error):
    """The specified URI couldn't be parsed."""


class KeyTooLongError(S3Error):
    """Your key is too long"""


class MalformedACLError(S3Error):
    """The XML that you provided was not well formed or did not validate against our published schema."""


class MalformedPOSTRequest(S3Error):
    """The body of your POST request is not well-formed multipart/form-data."""


class MalformedPolicy(S3Error):
    """The policy is not valid."""


class MalformedTrailerError(S3Error):
    """The request contained trailing data that was not well-formed or did not conform to our published schema."""


class MalformedXML(S3Error):
    """The XML you provided was not well-formed or did not validate against our published schema"""


class MaxMessageLengthExceeded(S3Error):
    """Your request was too large."""


class MaxPostPreDataLengthExceededError(S3Error):
    """Your POST request fields preceding the upload file were too large."""


class MetadataTooLarge(S3Error):
    """Your metadata headers exceed the maximum allowed metadata size"""


class MethodNotAllowed(S3Error):
    """The specified method is not allowed against this resource."""


class MissingContentLength(S3Error):
    """You must provide the Content-Length HTTP header."""


class MissingRequestBodyError(S3Error):
    """Request body is empty."""


class MissingSecurityHeader(S3Error):
    """Your request was missing a required header."""


class NoSuchBucket(S3Error):
    """The specified bucket does not exist"""


class NoSuchBucketPolicy(S3Error):
    """The bucket policy does not exist"""


class NoSuchCORSConfiguration(S3Error):
    """The CORS configuration does not exist"""


class NoSuchConfiguration(S3Error):
    """The specified configuration does not exist."""


class NoSuchKey(S3Error):
    """The specified key does not exist."""


class NoSuchLifecycleConfiguration(S3Error):
    """The lifecycle configuration does not exist"""


class NoSuchObjectLockConfiguration(S3Error):
    """The specified object does not have a ObjectLock configuration"""


class NoSuchPublicAccessBlockConfiguration(S3Error):
    """The public access block configuration was not found"""


class NoSuchTagSet(S3Error):
    """The TagSet does not exist"""


class NoSuchUpload(S3Error):
    """The specified multipart upload does not exist.

    The upload ID might be invalid, or the multipart upload might have been aborted or completed.
    """


class NoSuchVersion(S3Error):
    """The specified version does not exist."""


class NoSuchWebsiteConfiguration(S3Error):
    """The specified bucket does not have a website configuration"""


class NotImplemented(S3Error):  # noqa: A001 - the S3 code
    """A header you provided implies functionality that is not implemented."""


class NotModified(S3Error):
    """Not Modified"""


class ObjectLockConfigurationNotFoundError(S3Error):
    """Object Lock configuration does not exist for this bucket"""


class OperationAborted(S3Error):
    """A conflicting conditional operation is currently in progress against this resource. Try again."""


class OwnershipControlsNotFoundError(S3Error):
    """The bucket ownership controls were not found"""


class PreconditionFailed(S3Error):
    """At least one of the pre-conditions you specified did not hold"""


class QuotaExceeded(S3Error):
    """The bucket has reached its quota."""


class ReplicationConfigurationNotFoundError(S3Error):
    """The replication configuration was not found"""


class RequestHeaderSectionTooLarge(S3Error):
    """Your request header section exceeds the maximum allowed size."""


class RequestTimeTooSkewed(S3Error):
    """The difference between the request time and the current time is too large."""


class RequestTimeout(S3Error):
    """Your socket connection to the server was not read from or written to within the timeout period."""


class ServerSideEncryptionConfigurationNotFoundError(S3Error):
    """The server side encryption configuration was not found"""


class ServiceUnavailable(S3Error):
    """Service is unable to handle request. Try again."""


class SignatureDoesNotMatch(S3Error):
    """The request signature we calculated does not match the signature you provided. Check your key and method."""


class SlowDown(S3Error):
    """Please reduce your request rate."""


class StorageFull(S3Error):
    """The storage of this node is full. Free some space; the node accepts writes again as soon as there is room."""


class TooManyBuckets(S3Error):
    """You have attempted to create more buckets than are allowed"""


class TooManyParts(S3Error):
    """You have attempted to upload more parts than are allowed"""


class UnexpectedContent(S3Error):
    """This request contains unsupported content."""


class UnresolvableGrantByEmailAddress(S3Error):
    """The e-mail address you provided does not match any account on record."""


class XAmzContentChecksumMismatch(S3Error):
    """The provided x-amz-checksum header does not match what was computed."""


class XAmzContentSHA256Mismatch(S3Error):
    """The provided 'x-amz-content-sha256' header does not match what was computed."""
