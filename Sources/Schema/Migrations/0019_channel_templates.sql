-- The message templates of channels' accounts, as they were last fetched.

CREATE TABLE channel_templates (
    org_id uuid NOT NULL,
    channel_id uuid NOT NULL,
    name text NOT NULL CHECK (octet_length(name) <= 1024),
    language text NOT NULL CHECK (octet_length(language) <= 100),
    category text NOT NULL,
    -- As the provider says.
    status text NOT NULL,
    components jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(components) = 'array'),
    PRIMARY KEY (org_id, channel_id, name, language),
    FOREIGN KEY (org_id, channel_id) REFERENCES channels (org_id, id)
);
SELECT protect_table('channel_templates', 'SELECT, INSERT, UPDATE, DELETE');

-- When the templates were last fetched whole, and last asked for: nothing is known of an account that has never told.
ALTER TABLE channels ADD COLUMN templates_synced_at timestamptz;
ALTER TABLE channels ADD COLUMN templates_tried_at timestamptz;
SELECT open_to_directory('channels', 'SELECT (templates_tried_at)');

-- For the schedule: channels whose templates were last asked for longer ago than `older_than`.
CREATE FUNCTION find_channels_to_sync(older_than interval, max integer DEFAULT 100)
    RETURNS TABLE (org_id uuid, channel_id uuid)
    LANGUAGE sql STABLE
AS $$
    SELECT c.org_id, c.id
      FROM channels c
     WHERE c.type = 'whatsapp' AND c.status = 'active' AND c.deleted_at IS NULL
       AND (c.templates_tried_at IS NULL OR c.templates_tried_at < now() - older_than)
     ORDER BY c.templates_tried_at NULLS FIRST
     LIMIT max
$$;
SELECT hand_to_directory('find_channels_to_sync(interval, integer)');
