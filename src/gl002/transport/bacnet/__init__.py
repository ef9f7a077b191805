"""Sessions with BACnet/IP devices, shared by whatever reads, streams or writes them."""
