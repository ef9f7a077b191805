"""AWS's own device SDK gets a certificate by claim: arguments host, port, CA, claim, key, template.

Once with a key of AWS's, once with a request of its own; and is refused. Prints JSON.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import Future

from awscrt import mqtt
from awsiot import iotidentity, mqtt_connection_builder
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

host, port, ca, cert, key, template = sys.argv[1:]
connection = mqtt_connection_builder.mtls_from_path(
    endpoint=host, port=int(port), ca_filepath=ca, cert_filepath=cert, pri_key_filepath=key,
    client_id="sdk", clean_session=True, keep_alive_secs=30,
)  # fmt: skip
connection.connect().result(20)
client = iotidentity.IotIdentityClient(connection)
QOS = mqtt.QoS.AT_LEAST_ONCE
waiting: list[Future] = []


def settle(answer):
    waiting[-1].set_result(answer)


def listen(verb, request):
    for outcome in ("accepted", "rejected"):
        getattr(client, f"subscribe_to_{verb}_{outcome}")(request, QOS, settle)[0].result(20)


def ask(method, request):
    waiting.append(Future())
    method(request, QOS).result(20)
    return waiting[-1].result(20)


listen("create_keys_and_certificate", iotidentity.CreateKeysAndCertificateSubscriptionRequest())
listen("create_certificate_from_csr", iotidentity.CreateCertificateFromCsrSubscriptionRequest())
listen("register_thing", iotidentity.RegisterThingSubscriptionRequest(template_name=template))
private = ec.generate_private_key(ec.SECP256R1())
subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sdk")])
request = x509.CertificateSigningRequestBuilder().subject_name(subject)
pem = request.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
keys = ask(
    client.publish_create_keys_and_certificate, iotidentity.CreateKeysAndCertificateRequest()
)
signed = ask(
    client.publish_create_certificate_from_csr,
    iotidentity.CreateCertificateFromCsrRequest(certificate_signing_request=pem),
)


def register(token, serial):
    return ask(
        client.publish_register_thing,
        iotidentity.RegisterThingRequest(
            template_name=template, certificate_ownership_token=token,
            parameters={"SerialNumber": serial},
        ),
    )  # fmt: skip


thing = register(signed.certificate_ownership_token, "4711")
again = register(signed.certificate_ownership_token, "4711")
connection.disconnect().result(20)
print(
    json.dumps(
        {
            "key": keys.private_key.startswith("-----BEGIN"),
            "certificates": [a.certificate_pem.startswith("-----BEGIN") for a in (keys, signed)],
            "thing": [thing.thing_name, thing.device_configuration],
            "refused": [again.status_code, again.error_code],
        }
    )
)
