"""Holds the batches that Highwater wrote against golden.json, with kafka-python's reader. README.md says how."""

import json
import pathlib
import sys

from kafka.record import MemoryRecords


def told_bytes(told):
    if told is None:
        return None
    if isinstance(told, int):
        return bytes((n * 31 >> 3) & 0xFF for n in range(told))
    return bytes.fromhex(told)


def check(name, case, batch):
    assert batch.validate_crc(), f"{name}: crc"
    assert batch.base_offset == case["baseOffset"], name
    assert batch.is_transactional == case["transactional"], name
    assert batch.is_control_batch == case["control"], name
    found = list(batch)
    assert len(found) == len(case["records"]), f"{name}: {len(found)} records"
    for record, told in zip(found, case["records"]):
        where = f"{name} at {record.offset}"
        appended = case["timestampType"] == "LogAppendTime"
        assert record.offset == told["offset"], where
        assert record.timestamp == (case["logAppendTime"] if appended else told["timestamp"]), where
        assert (record.key and bytes(record.key)) == told_bytes(told["key"]), where
        assert (record.value and bytes(record.value)) == told_bytes(told["value"]), where
        headers = [(told_bytes(h["key"]).decode(), told_bytes(h["value"])) for h in told["headers"]]
        assert [(key, value) for key, value in record.headers] == headers, where
    return len(found)


def main(golden, ours):
    index = json.loads((pathlib.Path(golden) / "golden.json").read_text())
    cases = {case["file"].split(".")[0]: case for case in index["batches"]}
    batches = records = 0
    for path in sorted(pathlib.Path(ours).glob("*.bin")):
        memory = MemoryRecords(path.read_bytes())
        records += check(path.name, cases[path.name.split(".")[0]], memory.next_batch())
        assert memory.next_batch() is None, path.name
        batches += 1
    print(f"kafka-python reads {batches} batches with {records} records as they should be")


if __name__ == "__main__":
    main(*sys.argv[1:])
