#!/usr/bin/env bash
# Compares the speed of scans of JSON lines, of an array and of an envelope with the same records.
#
# Usage: benches/documents.sh DAYPORT [RECORDS]
set -euo pipefail
dayport="$(realpath "$1")"
records="${2:-1000000}"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir -p raw/lines raw/array raw/envelope sql/sources
python3 - "$records" <<'PYTHON'
import sys

def event(n):
    return (
        '{"event_id":"%032x","time":"2026-01-15T03:04:05.123456Z","name":"Pageview","n":%d,'
        '"properties":{"client":{"title":"Page \\"%d\\"","url":"https://www.example.com/some/path/%d?x=y",'
        '"user_agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0",'
        '"domain":"www.example.com"},"article":{"tags":["a","b","cde"],"authors":["Jane Doe"]}},'
        '"segments":[1,2,3,4,5,6,7,8,9,10,11,12]}' % (n, n, n, n)
    )

files = 4
for part in range(files):
    numbers = range(part, int(sys.argv[1]), files)
    with open(f"raw/lines/{part}.json", "w") as lines, \
         open(f"raw/array/{part}.json", "w") as array, \
         open(f"raw/envelope/{part}.json", "w") as envelope:
        array.write("[")
        envelope.write('{"Records":[')
        for index, n in enumerate(numbers):
            text = event(n)
            lines.write(text + "\n")
            comma = "," if index else ""
            array.write(comma + text)
            envelope.write(comma + text)
        array.write("]")
        envelope.write("]}")
PYTHON
for source in lines array envelope; do
  option=""
  [ "$source" = envelope ] && option="OPTIONS ('records' '\$.Records[*]')"
  cat > "sql/sources/$source.sql" <<SQL
CREATE EXTERNAL TABLE $source (
  event_id VARCHAR, name VARCHAR, n BIGINT, segments BIGINT[],
  properties STRUCT<client STRUCT<title VARCHAR, url VARCHAR, domain VARCHAR>>
) STORED AS JSON LOCATION '$source/' $option;
SQL
done
gzip -1 -k raw/*/*.json
for form in json json.gz; do
  for source in lines array envelope; do
    mkdir -p "one/$source" && rm -f "one/$source"/* && ln "raw/$source"/*."$form" "one/$source/"
  done
  for round in 1 2 3 4 5; do
    for source in lines array envelope; do
      query="SELECT count(*) AS records, sum(n) AS total, max(length(properties['client']['url'])) AS longest FROM $source"
      /usr/bin/env TIMEFORMAT="$form $source round $round: %R s, %U s user, %S s system" bash -c \
        'time "$0" query --from one "$1" > answer' "$dayport" "$query"
      # The sources have the same records.
      [ -e first ] || cp answer first
      cmp answer first
    done
  done
done
