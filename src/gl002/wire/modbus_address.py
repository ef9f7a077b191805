"""Where a register is: the two notations of the field, told apart by one rule.

A Modbus request carries a table (through its function code) and an address from 0 to 65535, the
*protocol address*. Makers print either that, or a *reference number* that counts from 1 and puts
the table in front: 40001 is the first holding register, protocol address 0 (MODBUS Application
Protocol V1.1b3, section 4.4; the leading digit is Modicon's older habit).

Which number means what, with `address_base` left out:

    written                            means
    40001 to 49999, 400001 to 465536   holding register, counted from 1: 40001 is address 0
    30001 to 39999, 300001 to 365536   input register, counted from 1
    10001 to 19999, 100001 to 165536   discrete input, counted from 1
    '00001' to '09999' with quotes,    coil, counted from 1; without quotes YAML takes the
    '000001' to '065536'               zeros away and 1 is protocol address 1
    any other number up to 65535       protocol address in the table of `type` (holding registers
                                       where there is none)

A five-digit number whose first digit contradicts `type` (30005 with `type: holding`) could be
either and is refused. With `address_base: 0` every number is a protocol address, with
`address_base: 1` every number counts from 1 within the table of `type`; then nothing is ambiguous.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from gl002.errors import ConfigError

Table: TypeAlias = Literal["coil", "discrete", "holding", "input"]
AddressBase: TypeAlias = Literal[0, 1] | None

_DIGITS: dict[str, Table] = {"0": "coil", "1": "discrete", "3": "input", "4": "holding"}
_LEADING = {table: digit for digit, table in _DIGITS.items()}
_LAST = 65535
_SHORT, _LONG = 5, 6  # digits of a reference number


class Place(NamedTuple):
    """A table and a protocol address in it."""

    table: Table
    address: int

    def __str__(self) -> str:
        return f"{self.table} {self.address} ({self.reference})"

    @property
    def reference(self) -> str:
        """The reference number, five digits where they suffice: '40001'."""
        number = self.address + 1
        return f"{_LEADING[self.table]}{number:0{4 if number <= 9999 else 5}d}"  # noqa: PLR2004 (four nines)


def locate(number: int | str, table: Table | None = None, base: AddressBase = None) -> Place:
    """The place a number means, by the rule at the top of this module.

    Args:
        number: as written in the configuration or the call; text keeps leading zeros.
        table: what `type` says; None where it says nothing.
        base: `address_base`: 0 or 1 make every number plain, None lets its digits speak.

    Raises:
        ConfigError: no number, out of range, or it contradicts `table`; the hint says what to do.
    """
    digits = str(number)
    if isinstance(number, bool) or not (digits.isascii() and digits.isdecimal()):
        raise ConfigError(
            f"{number!r} is no register number", hint="a protocol address or 40001 ..."
        )
    if base is not None:
        return _plain(int(digits) - base, number, table)
    reference = _reference(digits, quoted=isinstance(number, str))
    if reference is None:
        return _plain(int(digits), number, table)
    if table is not None and table != reference.table:
        raise ConfigError(
            f"{number} is a number of the table '{reference.table}', but the type is '{table}'",
            hint=f"write 'type: {reference.table}', or 'address_base: 0' on the device if "
            f"{number} is a protocol address",
        )
    return reference


def _reference(digits: str, *, quoted: bool) -> Place | None:
    """The place of a reference number; None for any other number."""
    if len(digits) not in {_SHORT, _LONG} or digits[0] not in _DIGITS:
        return None
    if digits[0] == "0" and not quoted:
        return None
    counted = int(digits[1:])
    if not 1 <= counted <= _LAST + 1:
        return None
    return Place(_DIGITS[digits[0]], counted - 1)


def _plain(address: int, number: int | str, table: Table | None) -> Place:
    if not 0 <= address <= _LAST:
        raise ConfigError(
            f"{number} is no register number",
            hint="protocol addresses go from 0 to 65535, reference numbers from 40001 or 400001",
        )
    return Place(table or "holding", address)
