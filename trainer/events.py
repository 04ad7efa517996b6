"""Metrics as TensorBoard reads them: OUT/tensorboard/events.out.tfevents.<first step>, a new file where a run goes on.

Only rank 0 writes. Steps that a crash has undone are cut out of the files, so no step is in them twice.
Format: TFRecord of tensorflow.Event, https://www.tensorflow.org/tutorials/load_data/tfrecord.
"""

import struct
import time
from collections.abc import Iterator
from typing import Any

from manifests import shards

FOLDER = "tensorboard"
PREFIX = "events.out.tfevents."
VERSION = "brain.Event:2"


class EventLog:
    """Appends the numbers of metrics lines. On a disk they are there at once; elsewhere with each call of `flush`."""

    def __init__(self, out: str, last_step: int) -> None:
        """Cut out what is of steps after last_step."""
        folder = shards.join(out, FOLDER)
        for name in shards.list_files(folder):
            first_step = name.removeprefix(PREFIX)
            if name.startswith(PREFIX) and first_step.isdecimal():  # others are of other programs
                _keep(shards.join(folder, name), int(first_step), last_step)
        self.uri = shards.join(folder, f"{PREFIX}{last_step + 1:010d}")
        self._data = bytearray(_record(_event(wall_time=time.time(), file_version=VERSION)))
        shards.write_bytes(self.uri, bytes(self._data))

    def append(self, metrics: dict[str, Any]) -> None:
        """Add the numbers of a step; those of inner objects under names with slashes."""
        values = [{"tag": tag, "simple_value": value} for tag, value in scalars(metrics) if tag != "step"]
        record = _record(_event(wall_time=time.time(), step=metrics["step"], summary={"value": values}))
        if shards.is_local(self.uri):
            with open(shards.filesystem(self.uri)[1], "ab") as file:
                file.write(record)
        else:
            self._data += record

    def flush(self) -> None:
        """Make what was appended visible on object stores, which cannot append."""
        if not shards.is_local(self.uri):
            shards.write_bytes(self.uri, bytes(self._data))


def scalars(metrics: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """(name, number) of all numbers in a metrics line but those in lists."""
    for key, value in metrics.items():
        if isinstance(value, dict):
            yield from scalars(value, f"{prefix}{key}/")
        elif isinstance(value, (int, float)):
            yield prefix + key, value


def _keep(uri: str, first_step: int, last_step: int) -> None:
    """Leave the events up to last_step in a file whose first one is of first_step."""
    if first_step > last_step:
        shards.remove(uri)
        return
    data = shards.read_bytes(uri)
    end = 0
    for event, end_of_event in read_events(data):
        if event.step > last_step:
            break
        end = end_of_event
    if end < len(data):
        shards.write_bytes(uri, data[:end])


def read_events(data: bytes) -> Iterator[tuple[Any, int]]:
    """(event, place of its end) of each whole event in a file."""
    from tensorboardX.proto.event_pb2 import Event

    start = 0
    while start + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, start)
        end = start + 12 + length + 4
        if end > len(data):
            return
        yield Event.FromString(data[start + 12 : end - 4]), end
        start = end


def _event(**fields: Any) -> bytes:
    from tensorboardX.proto.event_pb2 import Event

    data: bytes = Event(**fields).SerializeToString()
    return data


def _record(data: bytes) -> bytes:
    """A TFRecord: length, its checksum, data, its checksum."""
    from tensorboardX.record_writer import masked_crc32c

    length = struct.pack("<Q", len(data))
    checksums = [struct.pack("<I", masked_crc32c(part)) for part in (length, data)]
    return length + checksums[0] + data + checksums[1]
