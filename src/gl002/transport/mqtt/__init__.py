"""MQTT sessions, as MQTT brokers and the clouds that speak MQTT share them.

`session` is one connection to a broker, `inbox` what arrives until somebody has dealt with it,
`message` one message that arrived, `stream` the bytes below.
"""
