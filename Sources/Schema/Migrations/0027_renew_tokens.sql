-- Access tokens that live for a time and are renewed while they still do: of Instagram's own log-in, 60 days.

-- When a channel's token is to be renewed; NULL: nobody has looked at it, nobody knows how old it is.
ALTER TABLE channels ADD COLUMN token_due_at timestamptz;
SELECT open_to_directory('channels', 'SELECT (token_due_at)');

-- For the schedule. Which kind of log-in it is, the sealed credentials say.
CREATE FUNCTION find_tokens_to_renew(max integer DEFAULT 100)
    RETURNS TABLE (org_id uuid, channel_id uuid)
    LANGUAGE sql STABLE
AS $$
    SELECT c.org_id, c.id
      FROM channels c
     WHERE c.type = 'instagram' AND c.deleted_at IS NULL AND (c.token_due_at IS NULL OR c.token_due_at <= now())
     ORDER BY c.token_due_at NULLS FIRST
     LIMIT max
$$;
SELECT hand_to_directory('find_tokens_to_renew(integer)');
