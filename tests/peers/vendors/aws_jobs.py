"""AWS's own device SDK does a job: arguments host, port, CA, certificate, key, thing."""

from __future__ import annotations

import json
import sys
from concurrent.futures import Future

from awscrt import mqtt
from awsiot import iotjobs, mqtt_connection_builder

host, port, ca, cert, key, thing = sys.argv[1:]
connection = mqtt_connection_builder.mtls_from_path(
    endpoint=host, port=int(port), ca_filepath=ca, cert_filepath=cert, pri_key_filepath=key,
    client_id=thing, clean_session=True, keep_alive_secs=30,
)  # fmt: skip
connection.connect().result(20)
jobs = iotjobs.IotJobsClient(connection)
QOS = mqtt.QoS.AT_LEAST_ONCE
started, ended, refused, noticed = Future(), Future(), Future(), Future()

start = iotjobs.StartNextPendingJobExecutionSubscriptionRequest(thing_name=thing)
jobs.subscribe_to_start_next_pending_job_execution_accepted(start, QOS, started.set_result)[
    0
].result(20)
jobs.publish_start_next_pending_job_execution(
    iotjobs.StartNextPendingJobExecutionRequest(thing_name=thing, client_token="t1"), QOS
).result(20)
execution = started.result(20).execution

watch = iotjobs.NextJobExecutionChangedSubscriptionRequest(thing_name=thing)
jobs.subscribe_to_next_job_execution_changed_events(watch, QOS, noticed.set_result)[0].result(20)
answers = iotjobs.UpdateJobExecutionSubscriptionRequest(thing_name=thing, job_id=execution.job_id)
jobs.subscribe_to_update_job_execution_accepted(answers, QOS, ended.set_result)[0].result(20)
jobs.subscribe_to_update_job_execution_rejected(answers, QOS, refused.set_result)[0].result(20)


def update(version):
    request = iotjobs.UpdateJobExecutionRequest(
        thing_name=thing, job_id=execution.job_id, status=iotjobs.JobStatus.SUCCEEDED,
        expected_version=version, status_details={"by": "the SDK"}, client_token="t2",
    )  # fmt: skip
    jobs.publish_update_job_execution(request, QOS).result(20)


update(execution.version_number)
ended.result(20)
after = noticed.result(20)
update(execution.version_number)
print(
    json.dumps(
        {
            "job": [execution.job_id, execution.job_document, execution.version_number],
            "next": after.execution and after.execution.job_id,
            "refused": refused.result(20).code,
        }
    )
)
connection.disconnect().result(20)
