"""A sequence of shadow requests against moto, another implementation: prints what it answers.

Argument: JSON, a list of update documents. Each answer is ["accepted", version] or an error code;
at the end the whole document without times.
"""

from __future__ import annotations

import json
import os
import sys

import boto3
from botocore.exceptions import ClientError
from moto import mock_aws

os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
answers = []
with mock_aws():
    boto3.client("iot", "us-west-2").create_thing(thingName="thing")
    data = boto3.client("iot-data", "us-west-2")
    for document in json.loads(sys.argv[1]):
        try:
            answer = data.update_thing_shadow(thingName="thing", payload=json.dumps(document))
            answers.append(["accepted", json.loads(answer["payload"].read())["version"]])
        except ClientError as error:
            answers.append(error.response["ResponseMetadata"]["HTTPStatusCode"])
    whole = json.loads(data.get_thing_shadow(thingName="thing")["payload"].read())
print(json.dumps({"answers": answers, "state": whole["state"], "version": whole["version"]}))
