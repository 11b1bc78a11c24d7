-- Distinct domains of every workspace, with the number of events.
COPY (
  SELECT workspace_id, properties['client']['domain'] AS domain, count(*) AS events
  FROM events
  GROUP BY workspace_id, properties['client']['domain']
  ORDER BY workspace_id, domain
) TO 'domains';
