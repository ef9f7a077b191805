"""Where on the page things stand."""

from __future__ import annotations

EFFICIENCY = ".boiler .now .figure"
