"""WS-Security: user name and password in the header of a SOAP message.

OASIS, Web Services Security UsernameToken Profile 1.0 and 1.1: the password as text, which is why
such a message goes over TLS only.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from gl002.wire.xml import Element, child

_BASE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
NAMESPACE = f"{_BASE}wssecurity-secext-1.0.xsd"
TEXT = f"{_BASE}username-token-profile-1.0#PasswordText"
ET.register_namespace("wsse", NAMESPACE)


def username_token(username: str, password: str) -> Element:
    """The block `Security` for the header.

    Args:
        username: as the other side knows it.
        password: in clear.
    """
    security = ET.Element(f"{{{NAMESPACE}}}Security")
    token = child(security, f"{{{NAMESPACE}}}UsernameToken")
    child(token, f"{{{NAMESPACE}}}Username", username)
    child(token, f"{{{NAMESPACE}}}Password", password).set("Type", TEXT)
    return security
