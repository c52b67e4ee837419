"""The AWS clients, created once. The SDK keeps connections alive; its default timeouts are a minute."""

from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config

CONFIG = Config(
    connect_timeout=1,
    read_timeout=1.5,
    retries={"mode": "standard", "total_max_attempts": 3},
    tcp_keepalive=True,
)

_session = boto3.session.Session()
dynamodb = _session.client("dynamodb", config=CONFIG)
kms = _session.client("kms", config=CONFIG)

# For calls that are sent in parallel. The clients are thread-safe.
pool = ThreadPoolExecutor(max_workers=2)
