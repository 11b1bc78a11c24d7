-- Page and screen views of every workspace. Which of article, video and section is set depends on the workspace.
COPY (
  SELECT
    time,
    event_id,
    user_id,
    view_id,
    session_id,
    coalesce(segments, []) AS segments,  -- receivers are promised a list, if an empty one
    named_struct(
      'client',     properties['client'],
      'type',       properties['type'],
      'url',        properties['url'],
      'geo_info',   properties['geo_info'],
      'isp_info',   properties['isp_info'],
      'ip_address', properties['ip_address'],
      'alchemy',    properties['alchemy'],
      'article',    properties['article'],
      'section',    properties['section'],
      -- Raw events keep two shapes of `video` in one column: this is the page's, videoview_events has the player's.
      'video',
        CASE WHEN properties['video'] IS NOT NULL THEN named_struct(
          'id',         properties['video']['id'],
          'title',      properties['video']['title'],
          'duration',   properties['video']['duration'],
          'categories', properties['video']['categories'],
          'series',     properties['video']['series'],
          'season',     properties['video']['season'],
          'episode',    properties['video']['episode']
        ) END
    ) AS properties,
    workspace_id,
    date_part('year', time)  AS year,
    date_part('month', time) AS month,
    date_part('day', time)   AS day
  FROM events
  WHERE name = 'Pageview'
    AND time >= $window_start
    AND time < $window_end
) TO 'pageview_events'
PARTITIONED BY (year, month, day);
