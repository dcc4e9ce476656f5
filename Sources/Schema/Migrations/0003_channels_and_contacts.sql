-- Channels, the people who write in, and the conversations between them.

CREATE TABLE channels (
    org_id uuid NOT NULL REFERENCES organisations (id),
    id uuid NOT NULL DEFAULT uuid_v7(),
    type text NOT NULL CHECK (type IN ('whatsapp', 'instagram', 'facebook', 'twitter', 'linkedin', 'mock')),
    name text NOT NULL,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled', 'error')),
    -- Why the status is 'error', for people.
    status_reason text,
    settings jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(settings) = 'object'),
    -- A JSON object, sealed for this channel; NULL for a type without credentials.
    credentials bytea,
    -- A deleted channel is 404 everywhere, but its tickets and messages stay.
    deleted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, id)
);
CREATE INDEX channels_by_creation ON channels (org_id, created_at, id) WHERE deleted_at IS NULL;
SELECT protect_table('channels', 'SELECT, INSERT, UPDATE');
SELECT open_to_directory(
    'channels',
    'SELECT (org_id, id, type, name, status, settings, credentials, updated_at, deleted_at)'
);

-- Which organisation a webhook's channel belongs to. Holds channels that are not deleted.
CREATE TABLE channel_directory (
    channel_id uuid PRIMARY KEY,
    org_id uuid NOT NULL
);
CREATE INDEX channel_directory_by_org ON channel_directory (org_id);
ALTER TABLE channel_directory ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT open_to_directory('channel_directory', 'SELECT, INSERT, DELETE');

CREATE FUNCTION keep_channel_directory() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM channel_directory WHERE channel_id = OLD.id AND org_id = OLD.org_id;
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.deleted_at IS NULL THEN
        INSERT INTO channel_directory (channel_id, org_id) VALUES (NEW.id, NEW.org_id);
    END IF;
    RETURN NULL;
END
$$;
SELECT hand_to_directory('keep_channel_directory()');
CREATE TRIGGER keep_channel_directory AFTER INSERT OR UPDATE OF deleted_at OR DELETE ON channels
    FOR EACH ROW EXECUTE FUNCTION keep_channel_directory();

-- Everything that a webhook needs to know of its channel; no row for an unknown or deleted one. A disabled one is
-- returned: what it means is the caller's decision.
CREATE FUNCTION find_channel(channel uuid)
    RETURNS TABLE (
        org_id uuid, channel_id uuid, type text, name text, status text, settings jsonb, credentials bytea,
        updated_at timestamptz
    )
    LANGUAGE sql STABLE
AS $$
    SELECT c.org_id, c.id, c.type, c.name, c.status, c.settings, c.credentials, c.updated_at
      FROM channel_directory d
      JOIN channels c ON c.org_id = d.org_id AND c.id = d.channel_id AND c.deleted_at IS NULL
     WHERE d.channel_id = channel
$$;
SELECT hand_to_directory('find_channel(uuid)');

-- phone, handle and email are what is shown; contact_identities is what is matched.
CREATE TABLE contacts (
    org_id uuid NOT NULL REFERENCES organisations (id),
    id uuid NOT NULL DEFAULT uuid_v7(),
    name text,
    phone text,
    handle text,
    email text,
    opted_out boolean NOT NULL DEFAULT false,
    -- messages.accepted_at of the STOP or START that decided opted_out: an older one that is processed later changes
    -- nothing.
    opted_out_changed_at bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- A number is found with and without its plus, an address by its parts.
    search tsvector NOT NULL GENERATED ALWAYS AS (
        to_tsvector(
            'simple'::regconfig,
            left(coalesce(name, ''), 1000) || ' '
                || coalesce(phone, '') || ' ' || ltrim(coalesce(phone, ''), '+') || ' '
                || left(coalesce(handle, ''), 1000) || ' ' || left(coalesce(email, ''), 1000) || ' '
                || translate(left(coalesce(email, ''), 1000), '@.+-_', '     ')
        )
    ) STORED,
    PRIMARY KEY (org_id, id)
);
CREATE INDEX contacts_by_creation ON contacts (org_id, created_at, id);
CREATE INDEX contacts_search ON contacts USING gin (org_id, search);
SELECT protect_table('contacts', 'SELECT, INSERT, UPDATE, DELETE');
SELECT open_to_directory('contacts', 'SELECT (org_id, id, created_at, search)');

-- Every id by which a person is known. A number or address is the same person on all channels, a handle or a provider's
-- id on one: `scope` is that channel, or the nil UUID. `value` is folded (number: + and digits; address and handle:
-- fold(); provider's id: as it is), and bounded because it is a key.
CREATE TABLE contact_identities (
    org_id uuid NOT NULL,
    channel_id uuid,
    scope uuid NOT NULL GENERATED ALWAYS AS (coalesce(channel_id, '00000000-0000-0000-0000-000000000000'::uuid)) STORED,
    kind text NOT NULL CHECK (kind IN ('phone', 'email', 'handle', 'external')),
    value text NOT NULL CHECK (value <> '' AND octet_length(value) <= 1024),
    contact_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, scope, kind, value),
    FOREIGN KEY (org_id, channel_id) REFERENCES channels (org_id, id),
    FOREIGN KEY (org_id, contact_id) REFERENCES contacts (org_id, id) ON DELETE CASCADE,
    CHECK ((kind IN ('phone', 'email')) = (channel_id IS NULL))
);
CREATE INDEX contact_identities_by_contact ON contact_identities (org_id, contact_id);
SELECT protect_table('contact_identities', 'SELECT, INSERT, UPDATE, DELETE');

-- One channel and one contact. The row exists before the first ticket or message between them (both refer to it), names
-- the contact's newest ticket there, and is the lock under which a message finds or opens that ticket. A batch takes
-- the rows in key order (channel_id, contact_id), so that two batches never wait for each other in a circle.
CREATE TABLE conversations (
    org_id uuid NOT NULL,
    channel_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    ticket_id uuid,
    -- The provider's time of the newest inbound message: what the customer window is counted from. NULL: never wrote.
    last_inbound_provider_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, channel_id, contact_id),
    FOREIGN KEY (org_id, channel_id) REFERENCES channels (org_id, id),
    FOREIGN KEY (org_id, contact_id) REFERENCES contacts (org_id, id)
) WITH (fillfactor = 85);
CREATE INDEX conversations_by_contact ON conversations (org_id, contact_id);
SELECT protect_table('conversations', 'SELECT, INSERT, UPDATE, DELETE');
