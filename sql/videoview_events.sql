-- Videos started, with what the player knows of them.
COPY (
  SELECT
    time,
    event_id,
    user_id,
    view_id,
    session_id,
    coalesce(segments, []) AS segments,  -- receivers are promised a list, if an empty one
    named_struct(
      'client', properties['client'],
      -- Raw events keep two shapes of `video` in one column: this is the player's, pageview_events has the page's.
      'video',
        CASE WHEN properties['video'] IS NOT NULL THEN named_struct(
          'title',                properties['video']['title'],
          'genre',                properties['video']['genre'],
          'content_type',         properties['video']['content_type'],
          'age_rating',           properties['video']['age_rating'],
          'runtime',              properties['video']['runtime'],
          'country',              properties['video']['country'],
          'original_language',    properties['video']['original_language'],
          'audio_language',       properties['video']['audio_language'],
          'subtitles',            properties['video']['subtitles'],
          'season_number',        properties['video']['season_number'],
          'episode_number',       properties['video']['episode_number'],
          'consecutive_episodes', properties['video']['consecutive_episodes'],
          'iab_categories',       properties['video']['iab_categories']
        ) END
    ) AS properties,
    workspace_id,
    date_part('year', time)  AS year,
    date_part('month', time) AS month,
    date_part('day', time)   AS day
  FROM events
  WHERE name = 'Videoview'
    AND time >= $window_start
    AND time < $window_end
) TO 'videoview_events'
PARTITIONED BY (year, month, day);
