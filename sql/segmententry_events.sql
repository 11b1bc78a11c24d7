-- Users entering a segment. `segment_number` is a code of the row's workspace: join it to segment_metadata on both.
COPY (
  SELECT
    time,
    event_id,
    user_id,
    view_id,
    session_id,
    coalesce(segments, []) AS segments,  -- receivers are promised a list, if an empty one
    named_struct(
      'client',         properties['client'],
      'segment_id',     properties['segment_id'],
      'segment_name',   properties['segment_name'],
      'segment_number', properties['segment_number'],
      'segment_code',   properties['segment_code'],
      'custom_id',      properties['custom_id']
    ) AS properties,
    workspace_id,
    date_part('year', time)  AS year,
    date_part('month', time) AS month,
    date_part('day', time)   AS day
  FROM events
  WHERE name = 'SegmentEntry'
    AND time >= $window_start
    AND time < $window_end
) TO 'segmententry_events'
PARTITIONED BY (year, month, day);
