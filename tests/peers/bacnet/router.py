"""A BACnet router made of bacpypes3: an IP port, and a network 2001 with device 5005 at MAC 5.

Arguments: the UDP port.
"""

from __future__ import annotations

import asyncio
import sys

from bacpypes3.app import Application
from bacpypes3.appservice import ApplicationServiceAccessPoint
from bacpypes3.comm import bind
from bacpypes3.ipv4.link import NormalLinkLayer
from bacpypes3.local.analog import AnalogInputObject, AnalogValueObjectCmd
from bacpypes3.local.device import DeviceObject
from bacpypes3.netservice import NetworkServiceAccessPoint, NetworkServiceElement
from bacpypes3.pdu import Address, IPv4Address
from bacpypes3.service.cov import ChangeOfValueServices
from bacpypes3.service.device import WhoIsIAmServices
from bacpypes3.service.object import ReadWritePropertyMultipleServices, ReadWritePropertyServices
from bacpypes3.vlan import VirtualNetwork, VirtualNode

NETWORK, MAC, INSTANCE = 2001, 5, 5005


class Device(
    Application, WhoIsIAmServices, ReadWritePropertyServices, ReadWritePropertyMultipleServices,
    ChangeOfValueServices,
):  # fmt: skip
    """A device on the virtual network."""

    def __init__(self):
        super().__init__()
        device = DeviceObject(
            objectIdentifier=("device", INSTANCE), objectName="Far device", vendorIdentifier=999,
            maxApduLengthAccepted=480, segmentationSupported="noSegmentation",
        )  # fmt: skip
        asap = ApplicationServiceAccessPoint(device, self.device_info_cache)
        nsap, nse = NetworkServiceAccessPoint(), NetworkServiceElement()
        bind(nse, nsap)
        bind(self, asap, nsap)
        node = VirtualNode(Address(MAC), "far")
        nsap.bind(node, address=Address(MAC))
        self.add_object(device)
        self.add_object(
            AnalogInputObject(
                objectIdentifier=("analog-input", 1),
                objectName="far temperature",
                presentValue=61.5,
                units="degreesCelsius",
                statusFlags=[0, 0, 0, 0],
                covIncrement=0.1,
            )
        )
        self.add_object(
            AnalogValueObjectCmd(
                objectIdentifier=("analog-value", 1),
                objectName="far setpoint",
                presentValue=1.0,
                statusFlags=[0, 0, 0, 0],
                covIncrement=0.1,
            )
        )


async def main():
    lan = VirtualNetwork("far")
    nsap, nse = NetworkServiceAccessPoint(), NetworkServiceElement()
    bind(nse, nsap)
    here = IPv4Address(f"127.0.0.1/32:{sys.argv[1]}")
    link = NormalLinkLayer(here)
    nsap.bind(link, 1001, here)
    nsap.bind(VirtualNode(Address(1), "far"), NETWORK, Address(1))
    device = Device()
    await asyncio.gather(*link.server._transport_tasks)  # the socket is bound by then
    print("ready", flush=True)
    await asyncio.Event().wait()
    del lan, device  # kept until here


asyncio.run(main())
