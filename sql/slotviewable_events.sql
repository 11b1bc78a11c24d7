-- Advertisement slots that came into view.
COPY (
  SELECT
    time,
    event_id,
    user_id,
    view_id,
    session_id,
    coalesce(segments, []) AS segments,  -- receivers are promised a list, if an empty one
    named_struct(
      'client',        properties['client'],
      'advertiser_id', properties['advertiser_id'],
      'campaign_id',   properties['campaign_id'],
      'line_item_id',  properties['line_item_id'],
      'creative_id',   properties['creative_id'],
      'width',         properties['width'],
      'height',        properties['height'],
      'is_empty',      properties['is_empty'],
      'service_name',  properties['service_name'],
      'slot',          properties['slot']
    ) AS properties,
    workspace_id,
    date_part('year', time)  AS year,
    date_part('month', time) AS month,
    date_part('day', time)   AS day
  FROM events
  WHERE name = 'SlotViewable'
    AND time >= $window_start
    AND time < $window_end
) TO 'slotviewable_events'
PARTITIONED BY (year, month, day);
