"""Reads one export, made in both formats, with what receivers use, and compares every value.

    readers.py FOLDER      FOLDER/parquet and FOLDER/json are exports, FOLDER/ddl/<dialect>.<format>.sql scripts

The truth is the JSON export, read with nothing but Python's own json and gzip. Prints one line a check;
ends with 1 if one fails.
"""
import datetime as dt
import decimal
import glob
import gzip
import json
import os
import re
import shutil
import sys
import time
import traceback

# Spark gives instants as local times.
os.environ["TZ"] = "UTC"
time.tzset()

FORMATS = ["parquet", "json"]
DOUBLED = "domains"  # a copy of its file, which no manifest names, lies beside it
UTC = dt.timezone.utc
failures = []


# ---- what is published

def current(root):
    """{table: its manifests}: of each cycle the greatest revision, of a snapshot the newest cycle."""
    newest = {}
    for path in glob.glob(f"{root}/manifests/*/*.json"):
        manifest = json.load(open(path))
        cycles = newest.setdefault(manifest["table"], {})
        known = cycles.get(manifest["cycle"]["id"])
        if known is None or known["revision"] < manifest["revision"]:
            cycles[manifest["cycle"]["id"]] = manifest
    tables = {}
    for table, cycles in sorted(newest.items()):
        manifests = [cycles[cycle] for cycle in sorted(cycles)]
        tables[table] = manifests[-1:] if manifests[-1]["sync_mode"] == "snapshot" else manifests
    return tables


def columns_of(manifests):
    return manifests[-1]["schema"] + manifests[-1]["partition_by"]


def count_of(manifests):
    return sum(manifest["rows"] for manifest in manifests)


def files_of(manifests):
    return [file for manifest in manifests for file in manifest["files"]]


# ---- values in one spelling

def canonical(value, kind):
    if value is None:
        return None
    if isinstance(kind, dict):
        (name, of), = kind.items()
        if name == "list":
            return [canonical(item, of["type"]) for item in value]
        if name == "struct":
            return {field["name"]: canonical(value.get(field["name"]), field["type"]) for field in of}
        return str(decimal.Decimal(value).quantize(decimal.Decimal(1).scaleb(-of["scale"])))
    if kind == "timestamp":
        value = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
        value = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return value.isoformat(timespec="microseconds")
    if kind == "date":
        return value if isinstance(value, str) else value.isoformat()
    if kind == "binary":
        return value if isinstance(value, str) else bytes(value).hex()
    if kind == "float64":
        return repr(float(value))
    if kind in ("int32", "int64"):
        return int(value) if isinstance(value, str) else exactly(int, value)
    return exactly({"boolean": bool, "string": str}[kind], value)


def exactly(python_type, value):
    assert type(value) is python_type, f"{value!r} is no {python_type}"
    return value


def canonical_rows(rows, columns):
    for row in rows:
        strays = set(row) - {column["name"] for column in columns}
        assert not strays, f"unexpected columns {strays}"
    rows = [{c["name"]: canonical(row.get(c["name"]), c["type"]) for c in columns} for row in rows]
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


def truth(root, manifests):
    rows = []
    for file in files_of(manifests):
        with gzip.open(f"{root}/{file['path']}", "rt", encoding="utf-8", newline="\n") as lines:
            for line in lines:
                # Fractions as text: decimals lose nothing.
                rows.append({**json.loads(line, parse_float=str), **file["partition"]})
    return canonical_rows(rows, columns_of(manifests))


# ---- readers: each gives the rows of a table

class PyArrow:
    def __init__(self, root, form, script):
        self.root, self.form = root, form

    def field(self, column):
        import pyarrow as pa
        plain = {"boolean": pa.bool_(), "int32": pa.int32(), "int64": pa.int64(), "float64": pa.float64(),
                 "string": pa.string(), "timestamp": pa.timestamp("us", "UTC"),
                 # What pyarrow does not parse inside JSON is text.
                 "date": pa.string() if self.form == "json" else pa.date32(),
                 "binary": pa.string() if self.form == "json" else pa.binary()}
        kind = column["type"]
        if isinstance(kind, dict):
            (name, of), = kind.items()
            if name == "list":
                return pa.field(column["name"], pa.list_(self.field(of)))
            if name == "struct":
                return pa.field(column["name"], pa.struct([self.field(field) for field in of]))
            return pa.field(column["name"], pa.decimal128(of["precision"], of["scale"]))
        return pa.field(column["name"], plain[kind])

    def rows(self, table, manifests):
        import pyarrow as pa
        import pyarrow.dataset as ds
        import pyarrow.json
        inside = pa.schema([self.field(column) for column in manifests[-1]["schema"]])
        partitions = PyArrow(self.root, "parquet", None)  # text in folders is parsed
        partitions = pa.schema([partitions.field(column) for column in manifests[-1]["partition_by"]])
        form = "parquet"
        if self.form == "json":
            block = max([1] + [64 * file["bytes"] for file in files_of(manifests)])
            form = ds.JsonFileFormat(read_options=pa.json.ReadOptions(block_size=block),
                                     parse_options=pa.json.ParseOptions(explicit_schema=inside))
        folder = f"{self.root}/data/{table}"
        # A folder without rows is left out: pyarrow does not open empty JSON files.
        files = [f"{self.root}/{file['path']}" for file in files_of(manifests) if file["rows"]]
        if not files:
            return []
        dataset = ds.dataset(files, format=form, schema=pa.schema([*inside, *partitions]),
                             partitioning=ds.partitioning(partitions, flavor="hive"), partition_base_dir=folder)
        return dataset.to_table().to_pylist()


class Polars:
    def __init__(self, root, form, script):
        self.root, self.form = root, form

    def kind(self, kind):
        import polars as pl
        if isinstance(kind, dict):
            (name, of), = kind.items()
            if name == "list":
                return pl.List(self.kind(of["type"]))
            if name == "struct":
                return pl.Struct([pl.Field(field["name"], self.kind(field["type"])) for field in of])
            return pl.Decimal(of["precision"], of["scale"])
        return {"boolean": pl.Boolean, "int32": pl.Int32, "int64": pl.Int64, "float64": pl.Float64, "string": pl.String,
                "date": pl.Date, "timestamp": pl.Datetime("us", "UTC"), "binary": pl.Binary}[kind]

    def text_kind(self, kind):
        """What Polars does not parse inside JSON is text."""
        import polars as pl
        if kind in ("timestamp", "date", "binary") or (isinstance(kind, dict) and "decimal" in kind):
            return pl.String
        if isinstance(kind, dict):
            (name, of), = kind.items()
            if name == "list":
                return pl.List(self.text_kind(of["type"]))
            if name == "struct":
                return pl.Struct([pl.Field(field["name"], self.text_kind(field["type"])) for field in of])
        return self.kind(kind)

    def rows(self, table, manifests):
        import polars as pl
        partitions = {c["name"]: self.kind(c["type"]) for c in manifests[-1]["partition_by"]}
        files = [file for file in files_of(manifests) if file["rows"]]
        if not files:
            return []
        if self.form == "parquet":
            paths = [f"{self.root}/{file['path']}" for file in files]
            # By the newest schema: older files may lack columns, also inside structs.
            schema = {c["name"]: self.kind(c["type"]) for c in manifests[-1]["schema"]}
            casts = pl.ScanCastOptions(missing_struct_fields="insert")
            frame = pl.scan_parquet(paths, schema=schema, missing_columns="insert", cast_options=casts, glob=False,
                                    hive_partitioning=bool(partitions), hive_schema=partitions or None)
            return frame.collect().to_dicts()
        schema = {c["name"]: self.text_kind(c["type"]) for c in manifests[-1]["schema"]}
        rows = []
        for file in files:
            frame = pl.read_ndjson(gzip.open(f"{self.root}/{file['path']}").read(), schema=schema)
            rows += [{**row, **file["partition"]} for row in frame.to_dicts()]
        return rows


class DuckDb:
    def __init__(self, root, form, script):
        import duckdb
        self.database = duckdb.connect()
        self.database.execute("SET TimeZone = 'UTC'")
        self.database.execute(script)

    def count(self, table):
        return self.database.sql(f'SELECT count(*) FROM "{table}"').fetchall()[0][0]

    def rows(self, table, manifests):
        # By way of Arrow: its own instants need another package.
        return self.database.sql(f'SELECT * FROM "{table}_complete"').to_arrow_table().to_pylist()


class Spark:
    session = None

    def __init__(self, root, form, script):
        if Spark.session is None:
            from pyspark.sql import SparkSession
            warehouse = os.path.join(os.path.dirname(root), "warehouse")
            settings = {"spark.ui.enabled": "false", "spark.sql.warehouse.dir": warehouse, "spark.driver.memory": "1g",
                        "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1",
                        "spark.sql.shuffle.partitions": "1", "spark.sql.session.timeZone": "UTC",
                        # To compile each of these small queries takes longer than to run it.
                        "spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN",
                        "spark.sql.adaptive.enabled": "false", "spark.sql.hive.gatherFastStats": "false",
                        "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}
            builder = SparkSession.builder.master("local[2]")
            for name, value in settings.items():
                builder = builder.config(name, value)
            Spark.session = builder.getOrCreate()
        self.session.sql(f"CREATE DATABASE `{form}`")
        self.session.sql(f"USE `{form}`")
        self.database = form
        for statement in statements(script):
            self.session.sql(statement)

    def count(self, table):
        return self.session.table(f"`{self.database}`.`{table}`").count()

    def rows(self, table, manifests):
        # A table without a file has no manifest to follow yet.
        view = f"{table}_complete" if files_of(manifests) else table
        frame = self.session.table(f"`{self.database}`.`{view}`")
        return [row.asDict(recursive=True) for row in frame.collect()]


def statements(script):
    lines = [line for line in script.splitlines() if not line.startswith("--")]
    return [statement.strip() for statement in re.split(r";\n", "\n".join(lines) + "\n") if statement.strip()]


# ---- the checks

def check(name, run):
    started = time.monotonic()
    try:
        told = run()
        print(f"ok      {name}: {told} ({time.monotonic() - started:.1f} s)", flush=True)
    except Exception:
        failures.append(name)
        print(f"FAILED  {name}\n{traceback.format_exc()}", flush=True)


def same_rows(root, form, reader_class, script, expected):
    def run():
        reader, total = reader_class(root, form, script), 0
        for table, manifests in current(root).items():
            if hasattr(reader, "count"):
                count = reader.count(table)
                expected_count = count_of(manifests) * (2 if table == DOUBLED else 1)
                assert count == expected_count, f"{table}: {count} rows, the manifests say {expected_count}"
            rows = canonical_rows(reader.rows(table, manifests), columns_of(manifests))
            assert len(rows) == count_of(manifests), f"{table}: {len(rows)} rows, the manifests say {count_of(manifests)}"
            for row, right in zip(rows, expected[table]):
                assert row == right, f"{table}:\n  read  {row}\n  truth {right}"
            total += len(rows)
        return f"{total} rows of {len(expected)} tables"
    return run


# What sqlglot 30 has no grammar for: it takes these statements as they are …
NOT_PARSED = {
    "athena": r"MSCK REPAIR TABLE",
    "spark": r"ALTER TABLE .* RECOVER PARTITIONS",
}
# … and these clauses are taken out of theirs.
NOT_PARSED_CLAUSES = {"bigquery": r"^WITH (CONNECTION `[^`]+`|PARTITION COLUMNS \((`\w+` \w+(, )?)+\))\n"}


def parses(dialect, script):
    def run():
        import logging
        import sqlglot
        from sqlglot import exp
        logging.getLogger("sqlglot").setLevel(logging.ERROR)
        taken, parsed = set(), 0
        for statement in statements(script):
            statement, clauses = re.subn(NOT_PARSED_CLAUSES.get(dialect, r"(?!)"), "", statement, flags=re.MULTILINE)
            if clauses:
                taken.add("the clauses WITH PARTITION COLUMNS, WITH CONNECTION")
            tree = sqlglot.parse_one(statement, read=dialect, error_level=sqlglot.ErrorLevel.RAISE)
            if isinstance(tree, exp.Command):
                first = statement.splitlines()[0]
                assert re.match(NOT_PARSED.get(dialect, r"(?!)"), first), f"not understood: {statement}"
                taken.add(re.sub(r"`[^`]+`", "…", first))
            else:
                parsed += 1
        return f"{parsed} statements" + (f", without {', '.join(sorted(taken))}" if taken else "")
    return run


def add_foreign_file(root):
    file, = files_of(current(root)[DOUBLED])
    shutil.copy(f"{root}/{file['path']}", f"{root}/{file['path'].replace('data-0', 'data-9')}")


def main(folder):
    root = lambda form: f"{folder}/{form}"
    for form in FORMATS:
        add_foreign_file(root(form))
    manifests = current(root("json"))
    expected = {table: truth(root("json"), of) for table, of in manifests.items()}
    everything = "\n".join(row for rows in expected.values() for row in rows)
    for trait, pattern in {"2^53": r"9007199254740993", "2^63-1": r"9223372036854775807", "emoji": r"\\ud83d",
                           "newline": r"\\n", "empty list": r": \[\]", "microseconds": r"\.999999\+00:00"}.items():
        check(f"the export has {trait}", lambda: len(re.findall(pattern, everything)) or sys.exit(f"no {trait}"))
    for form in FORMATS:
        for reader in (PyArrow, Polars, DuckDb, Spark):
            script = f"{folder}/ddl/{reader.__name__.lower()}.{form}.sql"
            script = open(script).read() if os.path.exists(script) else None
            check(f"{reader.__name__} {form}", same_rows(root(form), form, reader, script, expected))
    for path in sorted(glob.glob(f"{folder}/ddl/*.sql")):
        name = os.path.basename(path)
        check(f"sqlglot {name}", parses(name.split(".")[0], open(path).read()))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main(sys.argv[1])
