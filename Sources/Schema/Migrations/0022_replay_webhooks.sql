-- What couldn't be understood can be played again, by whoever runs the installation: they look beyond one organisation.

SELECT open_to_directory('unprocessed_events', 'SELECT (id, channel_id, created_at, replayed_at)');

-- Kept events, the oldest first: those of one channel (NULL: of all) since a moment (NULL: all), without those that were replayed
-- unless they are asked for; after the one given.
CREATE FUNCTION find_unprocessed_events(
    only_channel uuid, since timestamptz, with_replayed boolean, after_at timestamptz, after_id uuid, max integer
)
    RETURNS TABLE (org_id uuid, event_id uuid, created_at timestamptz)
    LANGUAGE sql STABLE
AS $$
    SELECT e.org_id, e.id, e.created_at
      FROM unprocessed_events e
     WHERE (only_channel IS NULL OR e.channel_id = only_channel)
       AND (since IS NULL OR e.created_at >= since)
       AND (with_replayed OR e.replayed_at IS NULL)
       AND (after_id IS NULL OR (e.created_at, e.id) > (after_at, after_id))
     ORDER BY e.created_at, e.id
     LIMIT max
$$;
SELECT hand_to_directory('find_unprocessed_events(uuid, timestamptz, boolean, timestamptz, uuid, integer)');
