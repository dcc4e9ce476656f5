-- Tickets and their messages.
--
-- What is written often refers to rows of its own conversation only: a foreign key locks the row that it points to, and
-- the row of a busy channel or organisation would be locked by every message. The chain message → conversation →
-- channel → organisation holds all the same.

-- Numbers rise from 1 inside an organisation and are never given twice. The row stays locked until the commit.
CREATE TABLE ticket_counters (
    org_id uuid PRIMARY KEY REFERENCES organisations (id),
    last_number bigint NOT NULL
) WITH (fillfactor = 10);
SELECT protect_table('ticket_counters', 'SELECT, INSERT, UPDATE');

-- Takes `count` numbers and returns the first. Call it after the conversations are locked, never before.
CREATE FUNCTION next_ticket_number(org uuid, count integer DEFAULT 1) RETURNS bigint
    LANGUAGE sql VOLATILE
AS $$
    INSERT INTO ticket_counters AS c (org_id, last_number) VALUES (org, count)
    ON CONFLICT (org_id) DO UPDATE SET last_number = c.last_number + excluded.last_number
    RETURNING last_number - count + 1
$$;
GRANT EXECUTE ON FUNCTION next_ticket_number(uuid, integer) TO delightchat_app;

CREATE TABLE tickets (
    org_id uuid NOT NULL,
    id uuid NOT NULL DEFAULT uuid_v7(),
    number bigint NOT NULL,
    channel_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    subject text,
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'pending', 'closed')),
    -- low, normal, high, urgent: a rank, because lists sort by it.
    priority smallint NOT NULL DEFAULT 1 CHECK (priority BETWEEN 0 AND 3),
    assignee_id uuid,
    unread_count integer NOT NULL DEFAULT 0 CHECK (unread_count >= 0),
    last_message_at timestamptz NOT NULL DEFAULT now(),
    first_response_at timestamptz,
    closed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    search tsvector NOT NULL
        GENERATED ALWAYS AS (to_tsvector('simple'::regconfig, left(coalesce(subject, ''), 1000))) STORED,
    PRIMARY KEY (org_id, id),
    UNIQUE (org_id, number),
    FOREIGN KEY (org_id, channel_id, contact_id) REFERENCES conversations (org_id, channel_id, contact_id),
    FOREIGN KEY (org_id, assignee_id) REFERENCES users (org_id, id),
    CHECK ((status = 'closed') = (closed_at IS NOT NULL))
);

-- The list's sorts, alone and behind each filter where the filter and the sort go together badly: open tickets are new
-- ones, so a walk from the oldest or the most urgent would pass all the closed ones. `-priority` is priority,
-- last_message_at, id. A trailing created_at lets a range of it be checked in the index: tickets that are passed over
-- are not fetched.
CREATE INDEX tickets_by_last_message ON tickets (org_id, last_message_at, id, created_at);
CREATE INDEX tickets_by_creation ON tickets (org_id, created_at, id);
CREATE INDEX tickets_by_priority ON tickets (org_id, priority, last_message_at, id, created_at);
CREATE INDEX tickets_by_status ON tickets (org_id, status, last_message_at, id);
CREATE INDEX tickets_by_status_creation ON tickets (org_id, status, created_at, id);
CREATE INDEX tickets_by_status_priority ON tickets (org_id, status, priority, last_message_at, id);
CREATE INDEX tickets_by_channel ON tickets (org_id, channel_id, last_message_at, id);
CREATE INDEX tickets_by_channel_creation ON tickets (org_id, channel_id, created_at, id);
CREATE INDEX tickets_by_assignee ON tickets (org_id, assignee_id, last_message_at, id) WHERE assignee_id IS NOT NULL;
CREATE INDEX tickets_by_assignee_creation ON tickets (org_id, assignee_id, created_at, id)
    WHERE assignee_id IS NOT NULL;
-- IS NULL is no equality to the planner, so these have to be of their own to give an order.
CREATE INDEX tickets_unassigned ON tickets (org_id, last_message_at, id) WHERE assignee_id IS NULL;
CREATE INDEX tickets_unassigned_creation ON tickets (org_id, created_at, id) WHERE assignee_id IS NULL;
CREATE INDEX tickets_by_contact ON tickets (org_id, contact_id, last_message_at, id);
CREATE INDEX tickets_search ON tickets USING gin (org_id, search);
SELECT protect_table('tickets', 'SELECT, INSERT, UPDATE, DELETE');

ALTER TABLE conversations ADD FOREIGN KEY (org_id, ticket_id) REFERENCES tickets (org_id, id);
CREATE INDEX conversations_by_ticket ON conversations (org_id, ticket_id);

CREATE TABLE ticket_tags (
    org_id uuid NOT NULL,
    ticket_id uuid NOT NULL,
    tag text NOT NULL CHECK (tag <> '' AND char_length(tag) <= 50),
    -- The place in the list as it was given.
    position smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (org_id, ticket_id, tag),
    FOREIGN KEY (org_id, ticket_id) REFERENCES tickets (org_id, id) ON DELETE CASCADE
);
CREATE INDEX ticket_tags_by_tag ON ticket_tags (org_id, tag, ticket_id);
SELECT protect_table('ticket_tags', 'SELECT, INSERT, UPDATE, DELETE');

CREATE TABLE messages (
    org_id uuid NOT NULL,
    id uuid NOT NULL DEFAULT uuid_v7(),
    channel_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    -- NULL: a campaign's message that nobody has answered yet.
    ticket_id uuid,
    direction text NOT NULL CHECK (direction IN ('inbound', 'outbound', 'note')),
    author_type text NOT NULL CHECK (author_type IN ('contact', 'user', 'api_key', 'campaign', 'system')),
    author_id uuid,
    -- The author's name at that time, so that it stays when the author goes.
    author_name text,
    text text NOT NULL DEFAULT '',
    attachments jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(attachments) = 'array'),
    template jsonb CHECK (jsonb_typeof(template) = 'object'),
    -- What came along and is kept, but is not shown: an ad's referral, a mock message's metadata.
    metadata jsonb CHECK (jsonb_typeof(metadata) = 'object'),
    status text NOT NULL CHECK (status IN ('received', 'queued', 'sent', 'delivered', 'read', 'failed')),
    error_code text,
    error_message text,
    -- The provider's id. Bounded because it is a key.
    external_id text CHECK (external_id <> '' AND octet_length(external_id) <= 1024),
    reply_to uuid,
    provider_at timestamptz,
    -- Microseconds since 1970, by which messages are listed: of an inbound one the acceptance time of its job, so that
    -- batches and retries may commit in any order; of an outbound one or a note the moment of its insertion, under the
    -- lock of its ticket.
    accepted_at bigint NOT NULL DEFAULT now_micros(),
    created_at timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz,
    delivered_at timestamptz,
    read_at timestamptz,
    -- The newest edit that was applied (the provider's number or time), and when the provider's user took the message
    -- back.
    edit_number bigint,
    deleted_at timestamptz,
    -- Sending: tries begun; when the last one began (written before the call); not before when the next one may begin.
    attempts integer NOT NULL DEFAULT 0,
    attempted_at timestamptz,
    next_attempt_at timestamptz,
    -- Bounded: a tsvector holds 1 MiB at most, and an inbound text may be of any length.
    search tsvector NOT NULL GENERATED ALWAYS AS (to_tsvector('simple'::regconfig, left(text, 32768))) STORED,
    PRIMARY KEY (org_id, id),
    UNIQUE (org_id, channel_id, external_id),
    FOREIGN KEY (org_id, channel_id, contact_id) REFERENCES conversations (org_id, channel_id, contact_id),
    FOREIGN KEY (org_id, ticket_id) REFERENCES tickets (org_id, id),
    FOREIGN KEY (org_id, reply_to) REFERENCES messages (org_id, id),
    CHECK (
        CASE direction
            WHEN 'inbound' THEN status = 'received'
            WHEN 'note' THEN status = 'sent'
            ELSE status <> 'received'
        END
    ),
    CHECK (ticket_id IS NOT NULL OR author_type = 'campaign'),
    CHECK (status <> 'failed' OR error_code IS NOT NULL)
);
CREATE INDEX messages_by_ticket ON messages (org_id, ticket_id, accepted_at, id);
-- For a word that is in every other message, the search walks this one from the newest.
CREATE INDEX messages_by_acceptance ON messages (org_id, accepted_at);
-- What is to be sent: few rows, read one ticket at a time, and from end to end by the sweep.
CREATE INDEX messages_queued ON messages (org_id, ticket_id, accepted_at, id) WHERE status = 'queued';
CREATE INDEX messages_by_reply_to ON messages (org_id, reply_to) WHERE reply_to IS NOT NULL;
CREATE INDEX messages_search ON messages USING gin (org_id, search);
SELECT protect_table('messages', 'SELECT, INSERT, UPDATE, DELETE');

-- Who sends a ticket's messages at present; they leave one after another. Taken by INSERT … ON CONFLICT (org_id,
-- ticket_id) DO UPDATE … WHERE delivery_leases.expires_at < now(), prolonged and given back by its token.
CREATE TABLE delivery_leases (
    org_id uuid NOT NULL,
    ticket_id uuid NOT NULL,
    token uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, ticket_id),
    FOREIGN KEY (org_id, ticket_id) REFERENCES tickets (org_id, id) ON DELETE CASCADE
) WITH (fillfactor = 70);
SELECT protect_table('delivery_leases', 'SELECT, INSERT, UPDATE, DELETE');

-- One reaction per person and message: the contact's has no user, ours may name one.
CREATE TABLE reactions (
    org_id uuid NOT NULL,
    message_id uuid NOT NULL,
    by text NOT NULL CHECK (by IN ('contact', 'us')),
    emoji text NOT NULL CHECK (emoji <> ''),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, message_id, by),
    FOREIGN KEY (org_id, message_id) REFERENCES messages (org_id, id) ON DELETE CASCADE
);
SELECT protect_table('reactions', 'SELECT, INSERT, UPDATE, DELETE');

-- A status that overtook the answer of its send call: kept 24 h and applied when the send is recorded.
CREATE TABLE early_statuses (
    org_id uuid NOT NULL,
    channel_id uuid NOT NULL,
    external_id text NOT NULL CHECK (external_id <> '' AND octet_length(external_id) <= 1024),
    status text NOT NULL CHECK (status IN ('sent', 'delivered', 'read', 'failed')),
    provider_at timestamptz,
    error_code text,
    error_message text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, channel_id, external_id, status),
    FOREIGN KEY (org_id, channel_id) REFERENCES channels (org_id, id)
);
CREATE INDEX early_statuses_by_creation ON early_statuses (org_id, created_at);
SELECT protect_table('early_statuses', 'SELECT, INSERT, UPDATE, DELETE');
SELECT open_to_directory('early_statuses', 'SELECT (org_id, created_at)');
