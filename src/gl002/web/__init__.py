"""The local API and the dashboard of a running gateway, on loopback only.

`access` is how other programs find a gateway that runs; `server` starts everything else. FastAPI
is imported by `app` and what it needs, so only while serving.
"""
