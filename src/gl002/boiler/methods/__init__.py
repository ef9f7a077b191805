"""Efficiency by named methods. Each keeps its own constants; none borrows another's.

| method | basis | reference | from |
| --- | --- | --- | --- |
| `ptc4_style` | HHV | 25 degC | `gl002.boiler.efficiency.indirect`, the live number |
| `ptc41_short` | HHV | air | short form of ASME PTC 4.1-1964, as US operators know it |
| `en12952` | LHV | 25 degC | in the manner of EN 12952-15 and EN 12953-11 |
| `bs845` | HHV or LHV | air | in the manner of BS 845-1 |
| `bee_indirect` | HHV (GCV) | air | Bureau of Energy Efficiency, India; IS 8753 |
| `siegert` | LHV | air | Siegert's formula, 1. BImSchV |
| `direct` | HHV | none | heat in steam over heat in fuel |

The texts of the standards were not used; formulas are their published principles, and no
conformity is claimed.
"""
