"""OPC UA sessions: what a connection is, how it is secured, and how values stream over it.

`settings` what a user configures; `session` one activated session; `security` how it comes about;
`nodes` finding and describing nodes; `writing` their types; `stream` one subscription on one
session; `source` a stream that tells its gaps; `subscription` one that never ends.
"""
