-- Raw events of every workspace: gzip JSON lines, one object an hour, foldered by the hour of receipt (UTC).
CREATE EXTERNAL TABLE events (
  event_id     VARCHAR NOT NULL,
  name         VARCHAR NOT NULL,                      -- the event type, spelled as the SDKs spell it
  time         TIMESTAMP(6) WITH TIME ZONE NOT NULL,  -- when the server received it
  user_id      VARCHAR,
  view_id      VARCHAR,
  session_id   VARCHAR,
  segments     BIGINT[],                              -- cohort codes; a code means something only within its workspace
  -- The union of the properties of every event type in every workspace. A leaf that is not listed, or that no table uses, is not read.
  properties   STRUCT<
    client STRUCT<
      domain     VARCHAR,
      type       VARCHAR,
      url        VARCHAR,
      referrer   VARCHAR,
      title      VARCHAR,
      user_agent VARCHAR
    >,
    -- Pageview
    type VARCHAR,
    url  VARCHAR,
    geo_info STRUCT<
      city        VARCHAR,
      continent   VARCHAR,
      country     VARCHAR,
      postal_code VARCHAR,
      province    VARCHAR
    >,
    isp_info STRUCT<
      autonomous_system_number       BIGINT,
      autonomous_system_organization VARCHAR,
      ip_address                     VARCHAR,
      isp                            VARCHAR,
      organization                   VARCHAR
    >,
    ip_address VARCHAR,
    alchemy STRUCT<
      taxonomy        STRUCT<label VARCHAR, score DOUBLE, confident VARCHAR>[],
      taxonomy_labels VARCHAR[]
    >,
    article STRUCT<
      id            VARCHAR,
      title         VARCHAR,
      categories    VARCHAR[],
      tags          VARCHAR[],
      section       VARCHAR,
      authors       VARCHAR[],
      "publishedAt" TIMESTAMP(6) WITH TIME ZONE,
      "modifiedAt"  TIMESTAMP(6) WITH TIME ZONE,
      "wordCount"   BIGINT,
      "readTime"    DOUBLE,
      premium       BOOLEAN,
      sponsored     BOOLEAN
    >,
    section STRUCT<
      name VARCHAR,
      path VARCHAR[]
    >,
    -- Pageview (id .. episode) and Videoview (title, genre .. iab_categories)
    video STRUCT<
      id                   VARCHAR,
      title                VARCHAR,
      duration             BIGINT,
      categories           VARCHAR[],
      series               VARCHAR,
      season               BIGINT,
      episode              BIGINT,
      genre                VARCHAR[],
      content_type         VARCHAR[],
      age_rating           VARCHAR,
      runtime              BIGINT,
      country              VARCHAR,
      original_language    VARCHAR,
      audio_language       VARCHAR,
      subtitles            STRUCT<enabled BOOLEAN, language VARCHAR>,
      season_number        BIGINT,
      episode_number       BIGINT,
      consecutive_episodes BIGINT,
      iab_categories       VARCHAR[]
    >,
    -- PageviewEngagement
    completion   DOUBLE,
    engaged_time DOUBLE,
    -- SlotViewable, SlotClicked
    advertiser_id BIGINT,
    campaign_id   BIGINT,
    line_item_id  BIGINT,
    creative_id   BIGINT,
    width         BIGINT,
    height        BIGINT,
    is_empty      BOOLEAN,
    service_name  VARCHAR,
    slot STRUCT<
      ad_unit_path    VARCHAR,
      slot_element_id VARCHAR,
      targeting_keys  STRUCT<key VARCHAR, value VARCHAR[]>[]
    >,
    -- SegmentEntry
    segment_id     VARCHAR,
    segment_name   VARCHAR,
    segment_number BIGINT,
    segment_code   VARCHAR,
    custom_id      VARCHAR,
    -- FormSubmission
    form STRUCT<
      id     VARCHAR,
      name   VARCHAR,
      fields STRUCT<name VARCHAR, value VARCHAR>[]
    >,
    message VARCHAR,
    score   BIGINT,
    consent BOOLEAN,
    -- LinkClick
    dest_url VARCHAR
  >,
  workspace_id VARCHAR,
  date         DATE,
  hour         INT
)
STORED AS JSON
PARTITIONED BY (date, hour)
LOCATION 'events/'
OPTIONS ('time_column' 'time');
