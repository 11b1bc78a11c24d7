-- Identity bindings as they were observed: of several rows with the same tag and id, the latest says whose it is.
COPY (
  SELECT
    time,
    user_id,
    tag,
    id,
    priority,
    workspace_id,
    date_part('year', time)  AS year,
    date_part('month', time) AS month,
    date_part('day', time)   AS day
  FROM aliases
  WHERE time >= $window_start
    AND time < $window_end
) TO 'aliases'
PARTITIONED BY (year, month, day);
