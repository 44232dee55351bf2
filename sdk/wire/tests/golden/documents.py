"""Draws JSON documents for Write.java from Kafka's message schemas. See README.md.

usage: documents.py COUNT SCHEMA.json..      COUNT documents for each version of each message
"""

import base64
import json
import random
import re
import sys

BITS = {"int8": 7, "int16": 15, "int32": 31, "int64": 63}
SCALARS = {*BITS, "bool", "uint16", "uint32", "float64", "uuid", "string", "bytes", "records"}
# Where the class of a type of schema is, and which number stands before what it writes.
CLASSES = {
    "metadata": ("common.metadata.%s", "none"),
    "data": ("common.message.%s", "version"),
    "coordinator-key": ("coordinator.group.generated.%s", "type"),
    "coordinator-value": ("coordinator.group.generated.%s", "version"),
}
UNSTABLE = {"InitProducerIdRequest": 5, "InitProducerIdResponse": 5}  # highest version that 4.3 calls stable


def schema(path):
    text = re.sub(r"^\s*//.*$", "", open(path).read(), flags=re.M)
    return json.loads(re.sub(r"(?<=[\s,{\[])//.*$", "", text, flags=re.M))


def covers(versions, version):
    if versions in (None, "none"):
        return False
    first, _, last = versions.partition("-")
    if versions.endswith("+"):
        return version >= int(versions[:-1])
    return int(first) <= version <= int(last or first)


def key(name):
    return name[0].lower() + name[1:]


def octets(draw, count):
    return bytes(draw.randrange(256) for _ in range(count))


def value(kind, field, common, version, draw):
    if kind.startswith("[]"):
        return array(kind[2:], field, common, version, draw)
    if kind in BITS:
        high = 2 ** BITS[kind]
        return draw.choice([0, 1, -1, high - 1, -high, draw.randrange(-high, high)])
    if kind == "bool":
        return draw.random() < 0.5
    if kind in ("uint16", "uint32"):
        return draw.randrange(2 ** int(kind[4:]))
    if kind == "float64":
        return draw.choice([0.0, 1.5, -2.25e10])
    if kind == "uuid":
        return base64.urlsafe_b64encode(octets(draw, 16)).decode().rstrip("=")
    if kind == "string":
        return draw.choice(["", "a", "topic-1", "Überraschung", "x" * 130])
    if kind in ("bytes", "records"):
        return base64.b64encode(octets(draw, draw.choice([0, 1, 5, 200]))).decode()
    return document(field.get("fields") or common[kind], common, version, draw)


def array(kind, field, common, version, draw):
    values = [value(kind, field, common, version, draw) for _ in range(draw.randrange(4))]
    if kind in SCALARS:
        return values
    keys = [key(each["name"]) for each in field.get("fields") or common[kind] if each.get("mapKey")]
    distinct = {str([each.get(name) for name in keys]): each for each in values}
    return list(distinct.values()) if keys else values


def document(fields, common, version, draw):
    out = {}
    for field in fields:
        nullable = covers(field.get("nullableVersions"), version)
        tagged = covers(field.get("taggedVersions"), version)
        if not covers(field["versions"], version) or (tagged and draw.random() < 0.4):
            continue
        if nullable and draw.random() < 0.3:
            out[key(field["name"])] = None
        else:
            out[key(field["name"])] = value(field["type"], field, common, version, draw)
    return out


def main():
    for path in sys.argv[2:]:
        message = schema(path)
        name = message["name"]
        package, prefix = CLASSES.get(message["type"], ("common.message.%sData", "none"))
        common = {each["name"]: each["fields"] for each in message.get("commonStructs", [])}
        first, _, last = message["validVersions"].partition("-")
        for version in range(int(first), UNSTABLE.get(name, int(last or first)) + 1):
            for seed in range(int(sys.argv[1])):
                draw = random.Random(f"{name}/{version}/{seed}")
                task = {"class": "org.apache.kafka." + package % name, "name": name, "version": version, "prefix": prefix}
                print(json.dumps(task | {"document": document(message["fields"], common, version, draw)}))


main()
