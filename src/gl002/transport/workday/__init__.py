"""Workday: its web services over SOAP, its reports and resources over HTTP.

Elements are `gl002.wire.workday`; the connector is `gl002.integrations.enterprise.workday`.
"""
