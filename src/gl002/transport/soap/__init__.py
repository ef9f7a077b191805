"""SOAP over HTTP: `SOAPConnection` is the connector's base, `Message` what it sends.

Envelopes, faults and XML are `gl002.wire.soap` and `gl002.wire.xml`.
"""
