"""Presigned URLs for S3 with headers of the request inside the signature, which is what binds an upload to its bytes and which the
`minio` client cannot do. Called by chassis.objects.s3_store.

Source: AWS Signature Version 4, query parameters,
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

ALGORITHM = "AWS4-HMAC-SHA256"
MAX_EXPIRES_SECONDS = 7 * 24 * 3600
"""The limit set by the protocol."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The key pair of a signature, and its region."""

    access_key: str
    secret_key: str
    region: str


def presign(
    method: str,
    origin: str,
    path: str,
    *,
    key: SigningKey,
    now: datetime,
    expires_in_seconds: float,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> str:
    """The URL of one request on `origin` (`https://host:port`) and `path` (not quoted). The request must carry the headers
    exactly as they are given; `query` is added to the URL and signed with it; `now` is aware UTC. With a time that is over the
    URL has expired already.

    Raises:
        ValueError: it would be valid for longer than the protocol allows.
    """
    if expires_in_seconds > MAX_EXPIRES_SECONDS:
        raise ValueError(f"a presigned URL lives {MAX_EXPIRES_SECONDS} seconds at most")
    if expires_in_seconds < 1:
        # The protocol knows no such life, so it was signed earlier.
        now, expires_in_seconds = now + timedelta(seconds=expires_in_seconds - 1), 1
    signed = {"host": origin.split("://", 1)[1], **{name.lower(): value for name, value in (headers or {}).items()}}
    names = ";".join(sorted(signed))
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{key.region}/s3/aws4_request"
    parameters = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{key.access_key}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(int(expires_in_seconds)),
        "X-Amz-SignedHeaders": names,
        **(query or {}),
    }
    encoded = "&".join(f"{name}={quote(value, safe='~')}" for name, value in sorted(parameters.items()))
    location = quote(path, safe="/~")
    lines = [f"{name}:{' '.join(signed[name].split())}\n" for name in sorted(signed)]
    request = "\n".join([method, location, encoded, "".join(lines), names, "UNSIGNED-PAYLOAD"])
    to_sign = "\n".join([ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    secret = f"AWS4{key.secret_key}".encode()
    for part in scope.split("/"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    signature = hmac.digest(secret, to_sign.encode(), "sha256").hex()
    return f"{origin}{location}?{encoded}&X-Amz-Signature={signature}"
