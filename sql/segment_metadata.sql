-- Every segment of every workspace, disabled ones too: old events still carry their codes. Join on workspace_id and code.
COPY (
  SELECT
    id,
    code,
    name,
    description,
    tags,
    state,
    type,
    workspace_id,
    created_at,
    updated_at
  FROM (
    SELECT
      *,
      row_number() OVER (PARTITION BY workspace_id, id ORDER BY updated_at DESC, date DESC) AS recency
    FROM cohorts
  )
  -- The source is a log of changes: the last record of a segment is what it is now.
  WHERE recency = 1
) TO 'segment_metadata';
