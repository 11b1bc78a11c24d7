-- Identity bindings as they were observed, gzip JSON lines, one object a day: which user an id belonged to at that moment.
CREATE EXTERNAL TABLE aliases (
  time         TIMESTAMP(6) WITH TIME ZONE NOT NULL,
  user_id      VARCHAR,
  tag          VARCHAR,  -- the namespace of the id, such as email_sha256
  id           VARCHAR,
  priority     INT,      -- 0 is the highest
  workspace_id VARCHAR,
  date         DATE
)
STORED AS JSON
PARTITIONED BY (date)
LOCATION 'aliases/'
OPTIONS ('time_column' 'time');
