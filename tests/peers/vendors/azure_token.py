"""The token that Microsoft's own SDK makes: arguments hub, device, key, time it expires."""

from __future__ import annotations

import json
import sys
from unittest import mock

from azure.iot.device.common.auth.sastoken import RenewableSasToken
from azure.iot.device.common.auth.signing_mechanism import SymmetricKeySigningMechanism

hub, device, key, expires = sys.argv[1:]
with mock.patch("time.time", return_value=0):
    token = RenewableSasToken(
        f"{hub}/devices/{device}", SymmetricKeySigningMechanism(key), ttl=int(expires)
    )
print(json.dumps(str(token)))
