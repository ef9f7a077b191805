"""A simulated boiler house: the plant, its instruments and their faults, one server a protocol."""
