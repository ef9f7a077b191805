"""Oracle's maintenance: E-Business Suite over SQL*Net, Fusion Maintenance over REST.

`maintenance` is what both can do; `suite` (with `database` and `statements`) and `fusion` do it.
"""
