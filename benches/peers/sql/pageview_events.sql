COPY (
  SELECT
    event_id, organization_id, workspace_id, user_id, session_id, view_id, time, received_at, segments, cohorts,
    named_struct(
      'client', properties['client'],
      'geo_info', properties['geo_info'],
      'isp_info', properties['isp_info'],
      'article', properties['article']
    ) AS properties,
    date_part('year', time) AS year, date_part('month', time) AS month, date_part('day', time) AS day
  FROM events
  WHERE name = 'Pageview' AND received_at >= $window_start AND received_at < $window_end
) TO 'pageview_events'
PARTITIONED BY (year, month, day);
