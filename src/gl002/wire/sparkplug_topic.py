"""Topics of Sparkplug B: namespace, group, message type, edge node, device.

Source: Eclipse Sparkplug Specification 3.0.0, chapter 4 (Topics and Messages).

>>> parse("spBv1.0/GL002/DDATA/house/Boiler1")
Place(group='GL002', message='DDATA', node='house', device='Boiler1')
>>> parse("spBv1.0/GL002/DDATA/Boiler1") is None
True
"""

from __future__ import annotations

from typing import NamedTuple

NAMESPACE = "spBv1.0"
EVERYTHING = f"{NAMESPACE}/#"
_OF_NODES = {"NBIRTH", "NDEATH", "NDATA", "NCMD"}
_OF_DEVICES = {"DBIRTH", "DDEATH", "DDATA", "DCMD"}


class Place(NamedTuple):
    """What a topic says (section 4.1). `device` is '' for messages of the node itself."""

    group: str
    message: str
    node: str
    device: str = ""

    @property
    def topic(self) -> str:
        """As a topic."""
        levels = [NAMESPACE, self.group, self.message, self.node]
        return "/".join([*levels, self.device] if self.device else levels)


def parse(topic: str) -> Place | None:
    """The parts of a topic; None where it is none of a node's or device's messages."""
    namespace, *levels = topic.split("/")
    if namespace != NAMESPACE or not all(levels):
        return None
    match levels:
        case [group, message, node] if message in _OF_NODES:
            return Place(group, message, node)
        case [group, message, node, device] if message in _OF_DEVICES:
            return Place(group, message, node, device)
    return None


def state(host: str) -> str:
    """Where a host application says whether it is online (section 4.6)."""
    return f"{NAMESPACE}/STATE/{host}"
