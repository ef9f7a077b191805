import pytest

from gl002.integrations.industrial import AsyncModbusConnector


def warned(*devices, spec=None, **line):
    connection = {"type": "rtu", "port": "/dev/ttyUSB0", "baudrate": 9600, "timeout": 1, **line}
    connection = {key: value for key, value in connection.items() if value is not None}
    connector = AsyncModbusConnector({"connection": connection, "devices": list(devices)})
    given = connector.Input.parse({"source": "modbus", **(spec or {})})
    return list(connector.warnings([given]))


def device(unit, count, interval, **more):
    registers = [{"name": f"r{i}", "address": i} for i in range(count)]
    return {
        "slave_id": unit, "name": f"d{unit}", "polling_interval": interval, "registers": registers,
        **more,
    }  # fmt: skip


def test_a_line_with_time_to_spare_is_not_spoken_of():
    assert warned(*(device(unit, 10, 1000) for unit in range(1, 9))) == []


def test_a_line_that_cannot_carry_the_intervals_is_named_with_what_would_help():
    # 125 registers at 9600 8E1: 8 + 255 characters of 11 bits are 301 ms, and 28 ms of silence
    (text,) = warned(*(device(unit, 125, 1000) for unit in range(1, 5)), parity="E")
    assert "/dev/ttyUSB0 at 9600 baud cannot carry the intervals" in text
    assert "132%" in text or "131%" in text
    assert "d1: 1 requests, 329 ms every 1000 ms" in text
    assert "Multiply the intervals by 1.6" in text


def test_a_line_that_is_nearly_full_is_named_before_it_is_full():
    (text,) = warned(*(device(unit, 125, 1000) for unit in range(1, 4)), parity="E")
    assert "has little time left: 99%" in text


def test_a_time_out_nobody_chose_is_named_where_a_dead_slave_would_hold_up_others():
    (text,) = warned(device(1, 10, 1000), device(2, 60, 1000), timeout=None)
    assert "time-out, which is 3 s" in text
    assert "timeout: 0.5 is three times" in text
    assert warned(device(1, 10, 1000), timeout=None) == [], "there is nobody to hold up"


def test_registers_far_apart_cost_a_request_each():
    scattered = {
        "slave_id": 1, "name": "d", "polling_interval": 500,
        "registers": [{"name": f"r{i}", "address": 100 * i} for i in range(20)],
    }  # fmt: skip
    (text,) = warned(scattered)
    assert "20 requests" in text


def test_a_faster_line_carries_what_a_slow_one_cannot():
    devices = [device(unit, 125, 1000) for unit in range(1, 5)]
    assert warned(*devices, baudrate=9600)
    assert warned(*devices, baudrate=115200) == []


def test_ascii_takes_twice_the_characters():
    devices = [device(unit, 60, 1000) for unit in range(1, 5)]
    assert warned(*devices) == []
    assert warned(*devices, type="ascii")


def test_what_an_input_does_not_ask_for_costs_nothing():
    devices = [device(unit, 125, 1000) for unit in range(1, 5)]
    assert warned(*devices, spec={"device": "d1"}) == []
    assert warned(*devices, spec={"tags": ["d1.r1"]}) == []


@pytest.mark.parametrize(
    ("line", "known"),
    [
        ({"type": "tcp", "host": "h", "port": 502}, False),
        ({"type": "rtu_over_tcp", "host": "h", "port": 502}, True),
    ],
)
def test_a_line_of_unknown_speed_is_not_judged(line, known):
    devices = [device(unit, 125, 100) for unit in range(1, 5)]
    assert bool(warned(*devices, **line)) is known


def test_a_device_without_pause_takes_what_is_left_and_is_no_reason_to_warn():
    assert warned(device(1, 125, 0), device(2, 10, 1000)) == []
