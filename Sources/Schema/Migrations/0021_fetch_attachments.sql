-- The files of received messages: providers keep them for a while and show them to us alone, so they are fetched and kept.

-- One row for each file, made with its message. The file's key in the storage is the organisation's id and the row's, whatever
-- its state: whoever finds the row can take away what a crash left under it.
--   pending  to be fetched; next_attempt_at says when, and moves ahead while somebody is at it
--   stored   the file is there
--   failed   it can't be had; error says why
--   erased   its message was emptied: the file is to go, then the row
CREATE TABLE attachments (
    org_id uuid NOT NULL,
    id uuid NOT NULL DEFAULT uuid_v7(),
    message_id uuid NOT NULL,
    -- Its index in the message's attachments, from 0.
    place integer NOT NULL CHECK (place >= 0),
    type text NOT NULL,
    -- What the provider said of it.
    url text,
    media jsonb,
    mime_type text,
    name text,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'stored', 'failed', 'erased')),
    error text,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    -- Of the stored file; the type is one that is safe to serve.
    content_type text,
    size bigint,
    sha256 bytea CHECK (octet_length(sha256) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    stored_at timestamptz,
    PRIMARY KEY (org_id, id),
    UNIQUE (org_id, message_id, place),
    FOREIGN KEY (org_id, message_id) REFERENCES messages (org_id, id),
    CHECK (status <> 'stored' OR (content_type IS NOT NULL AND size IS NOT NULL AND sha256 IS NOT NULL)),
    CHECK (status <> 'failed' OR error IS NOT NULL)
);
CREATE INDEX attachments_due ON attachments (org_id, next_attempt_at) WHERE status IN ('pending', 'erased');
SELECT protect_table('attachments', 'SELECT, INSERT, UPDATE, DELETE');
SELECT open_to_directory('attachments', 'SELECT (org_id, status, next_attempt_at)');

-- What can be fetched of a new message: files of which there is an address or the provider's description. A story is not to
-- be kept, and locations, contacts, links and posts are no files.
CREATE FUNCTION note_attachments() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO attachments (org_id, message_id, place, type, url, media, mime_type, name)
    SELECT NEW.org_id, NEW.id, x.place - 1, x.value ->> 'type', x.value ->> 'url',
           nullif(NEW.metadata -> 'media' -> (x.place - 1)::integer, 'null'), x.value ->> 'mimeType', x.value ->> 'name'
      FROM jsonb_array_elements(NEW.attachments) WITH ORDINALITY AS x (value, place)
     WHERE x.value ->> 'type' IN ('image', 'video', 'audio', 'file', 'sticker')
       AND (x.value ->> 'url' ~ '^https?://' OR NEW.metadata -> 'media' -> (x.place - 1)::integer IS NOT NULL);
    RETURN NULL;
END
$$;
CREATE TRIGGER note_attachments AFTER INSERT ON messages
    FOR EACH ROW
    WHEN (NEW.attachments <> '[]' AND (NEW.direction = 'inbound' OR NEW.author_type = 'system'))
    EXECUTE FUNCTION note_attachments();

-- A message that is emptied, because it was taken back or its contact erased, takes its files along. One that is being fetched
-- at this moment stays on the list until whoever is at it must have ended.
CREATE FUNCTION erase_attachments() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE attachments a
       SET status = 'erased', url = NULL, media = NULL, mime_type = NULL, name = NULL, content_type = NULL, size = NULL,
           sha256 = NULL, error = NULL,
           next_attempt_at = CASE a.status
                                 WHEN 'pending' THEN greatest(a.next_attempt_at, clock_timestamp())
                                 ELSE clock_timestamp()
                             END
     WHERE a.org_id = NEW.org_id AND a.message_id = NEW.id AND a.status <> 'erased';
    RETURN NULL;
END
$$;
CREATE TRIGGER erase_attachments AFTER UPDATE OF attachments ON messages
    FOR EACH ROW WHEN (OLD.attachments <> '[]' AND NEW.attachments = '[]')
    EXECUTE FUNCTION erase_attachments();

-- Organisations with files to fetch or to delete that are due.
CREATE FUNCTION find_waiting_attachments(max integer DEFAULT 1000)
    RETURNS TABLE (org_id uuid)
    LANGUAGE sql STABLE
AS $$
    SELECT a.org_id
      FROM attachments a
     WHERE a.status IN ('pending', 'erased') AND a.next_attempt_at <= now()
     GROUP BY a.org_id
     ORDER BY min(a.next_attempt_at)
     LIMIT max
$$;
SELECT hand_to_directory('find_waiting_attachments(integer)');
