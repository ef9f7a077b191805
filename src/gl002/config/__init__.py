"""Configuration: one `integrations.yaml`, checked as a whole, every problem with its place.

`settings` is the base of all configuration models, `yaml` reads the file with line numbers,
`references` fills in `${...}`, `document` is the whole file, `load` puts them together.
"""
