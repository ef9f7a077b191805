"""HTTP: one session with one origin, shared by every connector that speaks it.

`HTTPConnection` is the connector's base, `HTTPClient` the session, `Answer` what comes back, `Auth`
how requests say who we are. aiohttp is named in `dialing` and `client` alone.
"""
