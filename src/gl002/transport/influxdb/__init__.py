"""InfluxDB over HTTP: the three interfaces of its generations, writing, and reading on and on."""
