"""The event files, read as TFRecords of tensorflow.Event."""

import struct
from pathlib import Path
from typing import Any

import pytest
from tensorboardX.crc32c import crc32c

from manifests import shards
from trainer.events import EventLog, read_events


def masked(data: bytes) -> int:
    """A checksum as the format has it: CRC-32C, rotated by 15 bits, and moved."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def steps(out: str) -> list[int]:
    folder = f"{out}/tensorboard"
    files = [shards.read_bytes(f"{folder}/{name}") for name in shards.list_files(folder)]
    return [event.step for data in files for event, _ in read_events(data) if event.summary.value]


def logged(out: str, last_step: int, *more: int) -> EventLog:
    log = EventLog(out, last_step)
    for step in more:
        log.append({"step": step, "loss": step / 4})
    return log


def test_every_number_of_a_step_is_there_under_its_name(tmp_path: Path) -> None:
    metrics: dict[str, Any] = {
        "step": 7,
        "loss": 2.5,
        "loss_by_source": {"web": 3.0, "books": 2},
        "spike": {"documents": []},
    }
    log = EventLog(str(tmp_path), 6)
    log.append(metrics)
    first, second = (event for event, _ in read_events(Path(log.uri).read_bytes()))
    assert first.file_version == "brain.Event:2"
    assert second.step == 7
    found = {value.tag: value.simple_value for value in second.summary.value}
    assert found == {"loss": 2.5, "loss_by_source/web": 3.0, "loss_by_source/books": 2.0}
    assert Path(log.uri).name == "events.out.tfevents.0000000007"


def test_records_carry_the_checksums_that_tensorboard_looks_at(tmp_path: Path) -> None:
    assert crc32c(b"123456789") == 0xE3069283
    data = Path(logged(str(tmp_path), 0, 1).uri).read_bytes()
    start = 0
    num_records = 0
    while start < len(data):
        (length,) = struct.unpack_from("<Q", data, start)
        (of_length,) = struct.unpack_from("<I", data, start + 8)
        (of_data,) = struct.unpack_from("<I", data, start + 12 + length)
        assert of_length == masked(data[start : start + 8])
        assert of_data == masked(data[start + 12 : start + 12 + length])
        start += length + 16
        num_records += 1
    assert (num_records, start) == (2, len(data))


def test_steps_that_a_crash_has_undone_are_cut_out(tmp_path: Path) -> None:
    out = str(tmp_path)
    logged(out, 0, 1, 2, 3, 4)
    logged(out, 2, 3, 4, 5)
    assert steps(out) == [1, 2, 3, 4, 5]
    logged(out, 2, 3)  # the file that begins with step 3 goes too
    assert steps(out) == [1, 2, 3]


def test_event_files_of_other_programs_are_left_as_they_are(tmp_path: Path) -> None:
    out = str(tmp_path)
    logged(out, 0, 1, 2)
    foreign = tmp_path / "tensorboard" / "events.out.tfevents.1700000000.host"
    foreign.write_bytes(b"of another program")
    logged(out, 0, 1)
    assert foreign.read_bytes() == b"of another program"


def test_an_event_that_was_cut_off_by_a_crash_is_left_out(tmp_path: Path) -> None:
    out = str(tmp_path)
    path = Path(logged(out, 0, 1, 2).uri)
    path.write_bytes(path.read_bytes()[:-3])
    logged(out, 2, 3)
    assert steps(out) == [1, 3]


@pytest.mark.parametrize("last_step", [0, 2])
def test_object_stores_get_the_events_with_each_flush(last_step: int) -> None:
    out = f"memory://events-{last_step}"
    log = logged(out, last_step, last_step + 1)
    assert steps(out) == []
    log.flush()
    log.append({"step": last_step + 2, "loss": 1.0})
    log.flush()
    assert steps(out) == [last_step + 1, last_step + 2]
