-- Domains that events came from, by workspace, as of the newest dump.
COPY (
  SELECT
    domain,
    workspace_id,
    first_seen,
    last_seen,
    pageviews
  FROM domains
  -- Each dump is complete, so older ones would only bring back domains that are gone.
  WHERE date = (SELECT max(date) FROM domains)
) TO 'domains';
