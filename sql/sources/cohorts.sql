-- Changes to cohort definitions, plain JSON lines: the first day holds every cohort, later days what changed.
CREATE EXTERNAL TABLE cohorts (
  id           VARCHAR NOT NULL,
  code         BIGINT NOT NULL,  -- what `segments` of an event holds; unique in its workspace only
  name         VARCHAR,
  description  VARCHAR,
  tags         VARCHAR[],
  state        VARCHAR,          -- Enabled, Disabled
  type         VARCHAR,          -- RealTime, Offline
  workspace_id VARCHAR NOT NULL,
  created_at   TIMESTAMP(6) WITH TIME ZONE,
  updated_at   TIMESTAMP(6) WITH TIME ZONE NOT NULL,
  date         DATE
)
STORED AS JSON
PARTITIONED BY (date)
LOCATION 'cohorts/';
