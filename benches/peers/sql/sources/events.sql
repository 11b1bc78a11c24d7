-- Raw events of the yardstick: one file an hour, foldered by the hour of receipt (UTC). STORED AS is changed by `run`.
CREATE EXTERNAL TABLE events (
  event_id        VARCHAR NOT NULL,
  organization_id VARCHAR,
  workspace_id    VARCHAR,
  user_id         VARCHAR,
  session_id      VARCHAR,
  view_id         VARCHAR,
  name            VARCHAR NOT NULL,
  time            TIMESTAMP(3) WITH TIME ZONE NOT NULL,
  received_at     TIMESTAMP(6) WITH TIME ZONE NOT NULL,
  segments        INT[],
  cohorts         INT[],
  properties      STRUCT<
    client     STRUCT<url VARCHAR, domain VARCHAR, title VARCHAR, referrer VARCHAR, user_agent VARCHAR, type VARCHAR>,
    geo_info   STRUCT<country VARCHAR, city VARCHAR, continent VARCHAR>,
    isp_info   STRUCT<isp VARCHAR, organization VARCHAR, autonomous_system_number INT, autonomous_system_organization VARCHAR>,
    article    STRUCT<id VARCHAR, categories VARCHAR[], authors VARCHAR[]>,
    engagement STRUCT<engaged_time BIGINT, completion DOUBLE, scroll_depth DOUBLE>,
    slot       STRUCT<slot_id VARCHAR, ad_unit_path VARCHAR, width INT, height INT, viewable_ms BIGINT>,
    video      STRUCT<id VARCHAR, duration_ms BIGINT, position_ms BIGINT, autoplay BOOLEAN>,
    form       STRUCT<id VARCHAR, fields VARCHAR[]>
  >,
  date DATE,
  hour INT
)
STORED AS JSON
PARTITIONED BY (date, hour)
LOCATION 'raw/'
OPTIONS ('time_column' 'received_at');
