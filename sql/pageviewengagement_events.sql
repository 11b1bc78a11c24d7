-- Engagement with a page or screen: one row for every five seconds of active time.
COPY (
  SELECT
    time,
    event_id,
    user_id,
    view_id,
    session_id,
    coalesce(segments, []) AS segments,  -- receivers are promised a list, if an empty one
    named_struct(
      'client',       properties['client'],
      'completion',   properties['completion'],
      'engaged_time', properties['engaged_time']
    ) AS properties,
    workspace_id,
    date_part('year', time)  AS year,
    date_part('month', time) AS month,
    date_part('day', time)   AS day
  FROM events
  WHERE name = 'PageviewEngagement'
    AND time >= $window_start
    AND time < $window_end
) TO 'pageviewengagement_events'
PARTITIONED BY (year, month, day);
