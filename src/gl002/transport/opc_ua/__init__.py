"""OPC UA sessions: what a connection is, how it is secured, and how values stream over it.

`settings` what a user configures; `session` one activated session; `security` how it comes about;
`connection` the half of the connector that opens it; `nodes` finding and describing nodes;
`mapping` what was found as configuration; `writing` and `calling` in the types nodes declare;
`stream` one subscription on one session; `source` a stream that tells its gaps; `history` and
`gaps` what fills them; `events` alarms and events as tags; `subscription` one that never ends.
"""
