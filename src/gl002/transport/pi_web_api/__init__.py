"""PI Web API: the session with it, and what streams to and from it.

`PIWebAPISession` is the connector's base; `source`, `sink`, `history` and `browsing` are its verbs.
"""
