"""A PI Web API of ours, built from the published reference; see `peers/pi_web_api.py`."""
