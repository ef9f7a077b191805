"""Signatures that botocore, AWS's own, makes: argument JSON; prints what is signed."""

from __future__ import annotations

import datetime as dt
import json
import sys
from unittest import mock

from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

given = json.loads(sys.argv[1])
moment = dt.datetime.fromtimestamp(given["now"], dt.UTC)
keys = Credentials(given["id"], given["secret"], given.get("token"))


def at(*_, **__):
    return moment.replace(tzinfo=None)


with mock.patch.object(auth, "get_current_datetime", at):
    post = AWSRequest(
        "POST", f"https://{given['host']}/", data=given["body"].encode(),
        headers={"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": given["target"]},
    )  # fmt: skip
    auth.SigV4Auth(keys, "secretsmanager", given["region"]).add_auth(post)
    get = AWSRequest("GET", f"https://{given['host']}/mqtt")
    lasting = Credentials(given["id"], given["secret"])
    auth.SigV4QueryAuth(
        lasting, "iotdevicegateway", given["region"], expires=given["expires"]
    ).add_auth(get)
print(json.dumps({"authorization": post.headers["Authorization"], "url": get.url}))
