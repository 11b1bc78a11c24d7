-- Submitted forms. Which fields are set depends on the workspace.
COPY (
  SELECT
    time,
    event_id,
    user_id,
    view_id,
    session_id,
    coalesce(segments, []) AS segments,  -- receivers are promised a list, if an empty one
    named_struct(
      'client',  properties['client'],
      'form',    properties['form'],
      'message', properties['message'],
      'score',   properties['score'],
      'consent', properties['consent']
    ) AS properties,
    workspace_id,
    date_part('year', time)  AS year,
    date_part('month', time) AS month,
    date_part('day', time)   AS day
  FROM events
  WHERE name = 'FormSubmission'
    AND time >= $window_start
    AND time < $window_end
) TO 'formsubmission_events'
PARTITIONED BY (year, month, day);
