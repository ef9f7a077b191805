"""zeep, a SOAP client of others, with a list of calls.

Takes JSON: {"wsdl": ..., "user": ..., "password": ..., "calls": [[operation, {arguments}], ...]}.
Prints JSON: what each call gave, as zeep understands it, or {"fault": text}.
"""

from __future__ import annotations

import json
import sys

from zeep import Client
from zeep.exceptions import Fault
from zeep.helpers import serialize_object
from zeep.wsse.username import UsernameToken

task = json.loads(sys.argv[1])
client = Client(task["wsdl"], wsse=UsernameToken(task["user"], task["password"]))
answers = []
for operation, arguments in task["calls"]:
    try:
        answers.append(serialize_object(client.service[operation](**arguments), dict))
    except Fault as fault:
        answers.append({"fault": fault.message})
print(json.dumps(answers, default=str))
