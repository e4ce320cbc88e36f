"""The bucket itself: created with versions and their expiry by an operator's command (`samovar objects bucket`), by backends:up and
by tests. Everything here blocks.
"""

from minio import Minio
from minio.commonconfig import ENABLED, Filter
from minio.deleteobjects import DeleteObject
from minio.error import S3Error
from minio.lifecycleconfig import AbortIncompleteMultipartUpload, LifecycleConfig, NoncurrentVersionExpiration, Rule
from minio.versioningconfig import VersioningConfig

from chassis.objects.s3_store import S3Location, s3_client

OLD_VERSIONS_DAYS = 30
UNFINISHED_UPLOADS_DAYS = 1
MADE_ALREADY_CODES = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})


def make_bucket(location: S3Location) -> bool:
    """Creates the bucket unless it exists, and gives it versions that expire when they are old. Returns whether it was created.

    Raises:
        MinioException, urllib3.exceptions.HTTPError: the store refused, or is unavailable.
    """
    with s3_client(location) as client:
        made = _make(client, location.bucket)
        client.set_bucket_versioning(bucket_name=location.bucket, config=VersioningConfig(ENABLED))
        rules = [
            Rule(
                ENABLED,
                rule_filter=Filter(prefix=""),
                rule_id="old-versions",
                noncurrent_version_expiration=NoncurrentVersionExpiration(noncurrent_days=OLD_VERSIONS_DAYS),
            ),
            Rule(
                ENABLED,
                rule_filter=Filter(prefix=""),
                rule_id="unfinished-uploads",
                abort_incomplete_multipart_upload=AbortIncompleteMultipartUpload(
                    days_after_initiation=UNFINISHED_UPLOADS_DAYS
                ),
            ),
        ]
        client.set_bucket_lifecycle(bucket_name=location.bucket, config=LifecycleConfig(rules))
    return made


def remove_bucket(location: S3Location) -> None:
    """Removes the bucket with all versions of all objects: for tests."""
    with s3_client(location) as client:
        found = client.list_objects(bucket_name=location.bucket, recursive=True, include_version=True)
        doomed = [DeleteObject(one.object_name, one.version_id) for one in found if one.object_name]
        for refused in client.remove_objects(bucket_name=location.bucket, delete_object_list=doomed):
            raise ValueError(f"{refused.name}: {refused.message}")
        client.remove_bucket(bucket_name=location.bucket)


def _make(client: Minio, bucket: str) -> bool:
    if client.bucket_exists(bucket_name=bucket):
        return False
    try:
        client.make_bucket(bucket_name=bucket)
    except S3Error as error:
        if error.code not in MADE_ALREADY_CODES:
            raise
        return False
    return True
