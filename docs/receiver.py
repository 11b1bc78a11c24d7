#!/usr/bin/env python3
"""Loads a dayport export (Parquet) from S3, every row exactly once:  receiver.py s3://bucket/prefix/ WAREHOUSE

It follows the markers of complete cycles to their manifests, and never lists data/: a marker appears after
the manifests of all tables, a manifest after its files are complete, and neither ever changes. In an export
without markers (of an older dayport) it lists the manifests. It replaces WAREHOUSE/<table>/<cycle>.parquet
as a whole and records it as loaded afterwards, so it may be run again at any time, also after a crash. It
needs pyarrow and boto3.
"""
import hashlib, io, json, os, re, sys
import boto3, pyarrow as pa, pyarrow.parquet as pq

address, warehouse = sys.argv[1:]
bucket, _, prefix = address.removeprefix("s3://").rstrip("/").partition("/")
prefix, s3 = prefix and prefix + "/", boto3.client("s3")
read = lambda key: s3.get_object(Bucket=bucket, Key=prefix + key)["Body"].read()
TYPES = {"int32": pa.int32(), "int64": pa.int64(), "date": pa.date32()}


def newest_of(folder, pattern):  # {table and cycle, or cycle: (revision, key)}: the greatest revision counts
    newest = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix + folder):
        for key in (found["Key"].removeprefix(prefix) for found in page.get("Contents", [])):
            if name := re.fullmatch(folder + pattern + r"\.r(\d+)\.json", key):
                *of, revision = name.groups()
                newest[tuple(of)] = max(newest.get(tuple(of), (-1, "")), (int(revision), key))
    return newest


def read_record(key):
    text = read(key)
    covered, member, checksum = text.rpartition(b'"checksum"')  # the last member, of the bytes before it
    if member and hashlib.sha256(covered).hexdigest().encode() not in checksum:
        sys.exit(f"{key} is damaged: run again, and if that does not help, have it restored")
    return json.loads(text)


def save():
    os.makedirs(warehouse, exist_ok=True)
    json.dump(loaded, open(record + ".new", "w"))
    os.replace(record + ".new", record)


record = os.path.join(warehouse, "loaded.json")
loaded = json.load(open(record)) if os.path.exists(record) else {}  # {key of a manifest or a marker: rows}
markers = newest_of("cycles/", r"([\d-]+)")
newest = {} if markers else newest_of("manifests/", r"(\w+)/([\d-]+)")
new_markers = [key for _, key in sorted(markers.values()) if key not in loaded]
new_markers = {key: marker for key in new_markers if (marker := read_record(key))["state"] == "complete"}
for marker in new_markers.values():
    for table in marker["tables"]:
        if table["sync_mode"] == "snapshot":  # only the newest has files, also if its cycle is not complete yet
            of_table = newest_of("manifests/" + table["table"] + "/", r"([\d-]+)")
            newest[table["table"], *max(of_table)] = of_table[max(of_table)]
        else:
            of, revision = (table["table"], table["cycle"]), (table["revision"], table["manifest"])
            newest[of] = max(newest.get(of, (-1, "")), revision)

last = {table: cycle for table, cycle in sorted(newest)}
for (table, cycle), (_, key) in sorted(newest.items()):
    if key in loaded:
        continue
    manifest = read_record(key)
    is_snapshot = manifest["sync_mode"] == "snapshot"
    if is_snapshot and cycle != last[table]:
        continue  # a later snapshot replaces the whole table
    parts = []
    for file in manifest["files"]:
        try:
            data = read(file["path"])
        except s3.exceptions.NoSuchKey:
            data = b""
        if hashlib.sha256(data).hexdigest() != file["sha256"]:
            sys.exit(f"{file['path']} is being replaced by a newer revision: run again")
        rows = pq.read_table(io.BytesIO(data))
        for column in manifest["partition_by"]:  # values that are in the path, not in the file
            value, kind = file["partition"][column["name"]], TYPES.get(column["type"], pa.string())
            rows = rows.append_column(column["name"], pa.array([value] * len(rows), pa.string()).cast(kind))
        parts.append(rows)
    target = os.path.join(warehouse, table, f"{'snapshot' if is_snapshot else cycle}.parquet")
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if parts:
        pq.write_table(pa.concat_tables(parts), target + ".new")
        os.replace(target + ".new", target)
    elif os.path.exists(target):
        os.remove(target)  # the revised cycle has no rows
    loaded[key] = sum(len(rows) for rows in parts)
    assert loaded[key] == manifest["rows"], key
    save()
    print(f"{key}: {loaded[key]} rows")

for key, marker in new_markers.items():  # every table of these cycles is loaded
    loaded[key] = marker["rows"]
    save()
