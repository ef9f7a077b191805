"""Topics made of samples: 'plant/{path}' and 'boiler1.steam_flow' give 'plant/boiler1/steam_flow'.

What comes from outside, such as a tag's name, can not reach another level of the topic or become a
wildcard: `gl002.wire.mqtt_topic.level`.
"""

from __future__ import annotations

from gl002.model import Sample, TagTable
from gl002.wire.mqtt_topic import Template, check_name, level

_FIELDS = {"tag", "path", "source", "gateway"}


def topic_template(text: str) -> Template:
    """The template of a topic to publish to.

    Raises:
        ConfigError: a field is not known, or braces do not fit.
    """
    return Template(text, _FIELDS.__contains__, "{tag}, {path}, {source}, {gateway}")


def per_sample(template: Template) -> bool:
    """Whether the topic differs from sample to sample."""
    return bool(template.fields - {"gateway"})


def topic_of(template: Template, sample: Sample, *, gateway: str, tags: TagTable) -> str:
    """The topic a sample is published to.

    Raises:
        DataError: a level would be empty or longer than 255 bytes.
        ConfigError: the whole would be too long.
    """
    values = {}
    if "tag" in template.fields:
        values["tag"] = level(sample.tag)
    if "path" in template.fields:
        values["path"] = "/".join(level(part) for part in sample.tag.split("."))
    if "source" in template.fields:
        known = tags.get(sample.tag)
        values["source"] = level((known.source if known is not None else "") or "unknown")
    if "gateway" in template.fields:
        values["gateway"] = level(gateway)
    return check_name(template.fill(values))
