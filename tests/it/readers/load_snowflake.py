"""Executes what `dayport ddl --dialect snowflake` prints, in fakesnow, and prints what is loaded as JSON.

usage: load_snowflake.py STATEMENTS BUCKET_URL FOLDER

FOLDER has what BUCKET_URL has. What fakesnow lacks is replaced: METADATA$FILENAME, by loading one file at a
time; the comments of tables, which are evaluated as texts instead; ALTER SESSION, which is left out.
"""

import json
import re
import sys
import warnings

import fakesnow
import snowflake.connector

warnings.filterwarnings("ignore")


def statements(text):
    """Splits a script at the ends of statements, which are at ends of lines, and drops comments."""
    for part in re.split(r";\n", text):
        lines = [line for line in part.split("\n") if not line.startswith("--")]
        if statement := "\n".join(lines).strip():
            yield statement


def main():
    script, bucket, folder = sys.argv[1:]
    with open(script, encoding="utf-8") as file:
        text = file.read().replace(bucket, f"file://{folder}/")
    comments, left_out = {}, []
    with fakesnow.patch():
        connection = snowflake.connector.connect(database="db", schema="s")
        cursor = connection.cursor()

        def value(sql):
            return cursor.execute(sql).fetchall()[0][0]

        for statement in statements(text):
            if statement.startswith("ALTER SESSION"):
                left_out.append(statement)
                continue
            if found := re.match(r'CREATE TABLE IF NOT EXISTS "(\w+)"', statement):
                statement, _, comment = statement.partition("\nCOMMENT = ")
                comments[found[1]] = value(f"SELECT {comment}") if comment else None
            if statement.startswith("COPY INTO"):
                head, files, tail = re.split(r"\nFILES = \(\n(.*?)\n\)\n", statement, flags=re.S)
                for name in files.split(",\n"):
                    one = head.replace("METADATA$FILENAME", name.strip())
                    cursor.execute(f"{one}\nFILES = ({name.strip()})\n{tail}")
                continue
            cursor.execute(statement)
        tables = {}
        for table in comments:
            rows = cursor.execute(f'SELECT * FROM "{table}"').fetchall()
            columns = [column[0] for column in cursor.description]
            rows = [dict(zip(columns, map(str, row))) for row in rows]
            tables[table] = {"rows": rows, "comment": comments[table]}
    print(json.dumps({"tables": tables, "left_out": left_out}))


main()
