-- Five audits, which `run --audits` gives each of the six tables.
CALL not_null(event_id, user_id, session_id);
CALL unique(event_id);
CALL accepted_values(properties['client']['type'], 'web', 'app', 'amp');
CALL range(received_at, $window_start, $window_end);
CALL freshness(received_at, INTERVAL '1 hour');
