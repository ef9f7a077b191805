"""The vendor's client, driven from a list of calls.

Takes JSON: {"url", "user", "password", "calls": [[api, method, [arguments], {keywords}], ...]}.
Prints JSON: a list with the model that each call gave, as the client understands it, or
{"status": ..., "body": ...} of its exception.
"""

from __future__ import annotations

import json
import sys

from osisoft.pidevclub.piwebapi import models
from osisoft.pidevclub.piwebapi.pi_web_api_client import PIWebApiClient
from osisoft.pidevclub.piwebapi.rest import ApiException

task = json.loads(sys.argv[1])
client = PIWebApiClient(
    task["url"], useKerberos=False, username=task["user"], password=task["password"]
)


def argument(value):
    """'@PIPoint' is the class; {"@": "PIPoint", ...} an object of it."""
    if isinstance(value, str) and value.startswith("@"):
        return getattr(models, value[1:])
    if isinstance(value, list):
        return [argument(v) for v in value]
    if isinstance(value, dict) and "@" in value:
        made = getattr(models, value["@"])()
        for key, inner in value.items():
            if key != "@":
                setattr(made, key, argument(inner))
        return made
    if isinstance(value, dict):
        return {key: argument(inner) for key, inner in value.items()}
    return value


def shown(value):
    if isinstance(value, list):
        return [shown(v) for v in value]
    if isinstance(value, dict):
        return {key: shown(v) for key, v in value.items()}
    return shown(value.to_dict()) if hasattr(value, "to_dict") else value


answers = []
for api, method, arguments, keywords in task["calls"]:
    call = getattr(getattr(client, api), method)
    try:
        given = [argument(a) for a in arguments]
        answers.append(shown(call(*given, **{k: argument(v) for k, v in keywords.items()})))
    except ApiException as error:
        answers.append({"status": error.status, "body": error.error})
print(json.dumps(answers))
