"""Other people's clients of SAP's interfaces, against a server: zeep for SOAP, pyodata for OData.

    sap_clients.py URL CLIENT USER PASSWORD

Prints JSON: what each of them made of the server.
"""

from __future__ import annotations

import json
import sys

import pyodata
import requests
import zeep
from zeep.exceptions import Fault
from zeep.transports import Transport

url, client, user, password = sys.argv[1:]
session = requests.Session()
session.auth = (user, password)
session.params = {"sap-client": client}
session.trust_env = False
seen: dict[str, object] = {}


def described(function: str):
    wsdl = f"{url}/sap/bc/soap/wsdl11?services={function}"
    settings = zeep.Settings(strict=True, forbid_dtd=True)
    return zeep.Client(wsdl, transport=Transport(session=session), settings=settings).service


# ---- zeep ------------------------------------------------------------------------------------

every = {
    "C5": "ab", "TEXT": "x", "N6": "000042", "DAY": "2026-11-26", "MOMENT": "10:11:12",
    "DEC": "1.50", "QUAN": "2.500", "INT4": 7, "INT2": 8, "FLTP": 0.5,
    "RAW4": b"\0\1",
}  # fmt: skip
answer = described("Z_ECHO").Z_ECHO(IS_ALL=every, IT_WORDS={"item": ["a", "b"]}, CT_ALL=None)
back = zeep.helpers.serialize_object(answer.ES_ALL, dict)
seen["echo"] = {
    name: value.decode() if isinstance(value, bytes) else str(value) for name, value in back.items()
}
seen["words"] = list(answer.ET_WORDS.item)
seen["table that was not sent"] = answer.CT_ALL is None
measured = described("MEASUREM_DOCUM_RFC_SINGLE_001").MEASUREM_DOCUM_RFC_SINGLE_001(
    MEASUREMENT_POINT="12", READING_DATE="2026-01-02", READING_TIME="03:04:05",
    RECORDED_VALUE="85.4", COMMIT_WORK="X", SHORT_TEXT="by zeep",
)  # fmt: skip
seen["document"] = measured.COMPLETE_DOCUMENT.MDTXT
try:
    described("MEASUREM_DOCUM_RFC_SINGLE_001").MEASUREM_DOCUM_RFC_SINGLE_001(
        MEASUREMENT_POINT="999", READING_DATE="2026-01-02", READING_TIME="03:04:05",
        RECORDED_VALUE="85.4",
    )  # fmt: skip
except Fault as fault:
    seen["fault"] = [fault.message, fault.detail.findtext(".//type")]
functions = [
    "BAPI_ALM_NOTIF_CREATE", "BAPI_ALM_NOTIF_SAVE", "BAPI_MATERIAL_GET_DETAIL",
    "BAPI_TRANSACTION_COMMIT", "RFC_READ_TABLE", "Z_BOILER_UPDATE",
]  # fmt: skip
seen["described"] = [name for name in functions if name in dir(described(name))]

# ---- pyodata ---------------------------------------------------------------------------------

products = pyodata.Client(f"{url}/sap/opu/odata/sap/API_PRODUCT_SRV/", session)
material = products.entity_sets.A_Product.get_entity("NATURAL_GAS").execute()
seen["material"] = [material.Product, str(material.GrossWeight)]

service = f"{url}/sap/opu/odata/sap/API_MAINTNOTIFICATION/"
notifications = pyodata.Client(service, session)
token = session.get(service, headers={"X-CSRF-Token": "Fetch"}).headers["X-CSRF-Token"]
session.headers["X-CSRF-Token"] = token
made = (
    notifications.entity_sets.MaintenanceNotification.create_entity()
    .set(
        NotificationType="M2", NotificationText="by pyodata", TechnicalObject="10000045",
        TechObjIsEquipOrFuncnlLoc="EAMS_EQUI", MaintNotifExtReferenceNumber="PYODATA-1",
    )
    .execute()
)  # fmt: skip
found = notifications.entity_sets.MaintenanceNotification.get_entities()
found = found.filter("MaintNotifExtReferenceNumber eq 'PYODATA-1'").execute()
same = [one.MaintenanceNotification == made.MaintenanceNotification for one in found]
seen["notification"] = [made.NotificationText, same]
batch = products.create_batch()
batch.add_request(products.entity_sets.A_Product.get_entity("NATURAL_GAS"))
seen["batch"] = [answer.BaseUnit for answer in batch.execute()]
print(json.dumps(seen))
