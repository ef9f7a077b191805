"""Google's own client of Pub/Sub over REST: arguments address, key file ('' for an emulator).

Creates a topic and a subscription, publishes in order, pulls, extends, acknowledges; is refused
what is wrong. Prints JSON.
"""

from __future__ import annotations

import json
import sys

from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.oauth2 import service_account
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports.rest import PublisherRestTransport
from google.pubsub_v1.services.subscriber.transports.rest import SubscriberRestTransport

address, key = sys.argv[1:]
who = (
    service_account.Credentials.from_service_account_file(
        key, scopes=["https://www.googleapis.com/auth/pubsub"]
    )
    if key
    else AnonymousCredentials()
)
host, way = address.removeprefix("http://"), {"url_scheme": "http", "credentials": who}
publisher = PublisherClient(transport=PublisherRestTransport(host=host, **way))
subscriber = SubscriberClient(transport=SubscriberRestTransport(host=host, **way))
TOPIC, NAME = "projects/plant-1/topics/of-google", "projects/plant-1/subscriptions/of-google"


def refused(call, **request):
    try:
        call(request=request, timeout=20, retry=None)
    except exceptions.GoogleAPICallError as error:
        return type(error).__name__
    return "taken"


publisher.create_topic(request={"name": TOPIC})
made = subscriber.create_subscription(
    request={"name": NAME, "topic": TOPIC, "ack_deadline_seconds": 30,
             "enable_message_ordering": True}
)  # fmt: skip
messages = [
    {"data": f"{i}".encode(), "attributes": {"id": f"m{i}"}, "ordering_key": "boiler1"}
    for i in range(5)
]
ids = publisher.publish(request={"topic": TOPIC, "messages": messages}).message_ids
first = subscriber.pull(request={"subscription": NAME, "max_messages": 10}).received_messages
subscriber.modify_ack_deadline(
    request={
        "subscription": NAME,
        "ack_ids": [m.ack_id for m in first],
        "ack_deadline_seconds": 0,
    }
)
again = subscriber.pull(request={"subscription": NAME, "max_messages": 10}).received_messages
subscriber.acknowledge(request={"subscription": NAME, "ack_ids": [m.ack_id for m in again]})
publisher.publish(request={"topic": TOPIC, "messages": [{"data": b"last"}]})
last = subscriber.pull(request={"subscription": NAME, "max_messages": 10}).received_messages
print(
    json.dumps(
        {
            "deadline": made.ack_deadline_seconds,
            "ids": len(set(ids)),
            "first": [[m.message.data.decode(), dict(m.message.attributes)] for m in first],
            "key": first[0].message.ordering_key,
            "again": [m.message.message_id for m in again] == list(ids),
            "time": first[0].message.publish_time.timestamp() > 1.6e9,
            "last": [m.message.data.decode() for m in last],
            "refused": [
                refused(publisher.create_topic, name=TOPIC),
                refused(publisher.publish, topic=TOPIC, messages=[]),
                refused(publisher.publish, topic=TOPIC, messages=[{}]),
                refused(publisher.publish, topic=TOPIC, messages=[{"data": b"x"}] * 1001),
                refused(publisher.publish, topic=TOPIC[:-1], messages=[{"data": b"x"}]),
                refused(publisher.create_topic, name="projects/plant-1/topics/goog-x"),
                refused(subscriber.pull, subscription=NAME[:-1], max_messages=1),
                refused(subscriber.pull, subscription=NAME, max_messages=0),
                refused(subscriber.acknowledge, subscription=NAME, ack_ids=[]),
                refused(subscriber.acknowledge, subscription=NAME, ack_ids=[last[0].ack_id]),
            ],
        }
    )
)
