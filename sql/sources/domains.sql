-- Domains that events came from, zstd JSON lines: a full dump a day, so each folder alone is the whole table.
CREATE EXTERNAL TABLE domains (
  domain       VARCHAR NOT NULL,
  workspace_id VARCHAR NOT NULL,
  first_seen   TIMESTAMP(6) WITH TIME ZONE,
  last_seen    TIMESTAMP(6) WITH TIME ZONE,
  pageviews    BIGINT,  -- on the day of the dump
  date         DATE
)
STORED AS JSON
PARTITIONED BY (date)
LOCATION 'domains/';
