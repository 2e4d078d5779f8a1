"""A test server that speaks the protocol of Alibaba Cloud OSS, with faults on demand.

Nothing but the standard library is needed, so it runs wherever Python does:

    python -m tests.oss --bucket voices --bucket recordings --port 9000
"""

from tests.oss.faults import Fault
from tests.oss.server import KEY_ID, KEY_SECRET, REGION, Operation, OssServer
from tests.oss.signature import Account

__all__ = ["KEY_ID", "KEY_SECRET", "REGION", "Account", "Fault", "Operation", "OssServer"]
