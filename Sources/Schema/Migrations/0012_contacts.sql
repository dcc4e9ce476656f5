-- Contacts that are merged into others or erased: their rows stay, emptied, because tickets and messages refer to them.

-- Since when there is no such contact any more.
ALTER TABLE contacts ADD COLUMN gone_at timestamptz;
SELECT open_to_directory('contacts', 'SELECT (gone_at)');

-- What a contact was sent and never answered: the messages that no ticket leads to.
CREATE INDEX messages_without_ticket ON messages (org_id, contact_id) WHERE ticket_id IS NULL;

-- Whoever found a contact just before it went must look again: 40001 tells them. A conversation or an id that is new to a contact
-- waits for the transaction in which the contact goes. One that was there is locked by that transaction, so what changes it
-- sees afterwards who is gone.
CREATE FUNCTION refuse_gone_contact() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM FROM contacts c
          WHERE c.org_id = NEW.org_id AND c.id = NEW.contact_id AND c.gone_at IS NULL
            FOR KEY SHARE;
    ELSE
        PERFORM FROM contacts c WHERE c.org_id = NEW.org_id AND c.id = NEW.contact_id AND c.gone_at IS NULL;
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the contact is gone' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER refuse_gone_contact_after AFTER INSERT ON conversations
    FOR EACH ROW EXECUTE FUNCTION refuse_gone_contact();
CREATE TRIGGER refuse_gone_contact_before BEFORE UPDATE ON conversations
    FOR EACH ROW EXECUTE FUNCTION refuse_gone_contact();
CREATE TRIGGER refuse_gone_contact_after AFTER INSERT ON contact_identities
    FOR EACH ROW EXECUTE FUNCTION refuse_gone_contact();

-- The contacts of the entered organisation in whom each word of the query begins a word, or whose number begins with `digits`
-- (NULL: the query is no number); newest first, after the one given.
DROP FUNCTION search_contacts(text, integer);
CREATE FUNCTION search_contacts(query text, digits text, after_at timestamptz, after_id uuid, max integer)
    RETURNS TABLE (contact_id uuid)
    LANGUAGE plpgsql STABLE
    SET plan_cache_mode = force_custom_plan
    SET client_min_messages = warning
AS $$
DECLARE
    org uuid := nullif(current_setting('app.org_id', true), '')::uuid;
    wanted tsquery := ''::tsquery;
    word text;
BEGIN
    FOREACH word IN ARRAY regexp_split_to_array(query, '\s+') LOOP
        -- A word of signs alone asks for nothing.
        wanted := wanted
            && to_tsquery('simple', '''' || replace(replace(word, '\', '\\'), '''', '''''') || ''':*');
    END LOOP;
    IF digits IS NOT NULL THEN
        wanted := wanted || to_tsquery('simple', digits || ':*');
    END IF;
    IF org IS NULL OR numnode(wanted) = 0 THEN
        RETURN;
    END IF;
    -- First the matches: asked for the newest ones at once, the planner would rather walk the organisation's contacts in their
    -- order until it has met enough of them, which for a rare word is all.
    RETURN QUERY
    WITH hits AS MATERIALIZED (
        SELECT c.id, c.created_at FROM contacts c WHERE c.org_id = org AND c.search @@ wanted AND c.gone_at IS NULL
    )
    SELECT h.id FROM hits h
     WHERE after_id IS NULL OR (h.created_at, h.id) < (after_at, after_id)
     ORDER BY h.created_at DESC, h.id DESC
     LIMIT max;
END
$$;
SELECT hand_to_directory('search_contacts(text, text, timestamptz, uuid, integer)');

-- Makes one contact of two: what was the source's is the target's afterwards, and the source is gone. Answers 'merged', or whom
-- there isn't: 'source' or 'target'. What the target lacks it takes from the source; of two decisions about campaigns
-- the newer one holds.
CREATE FUNCTION merge_contacts(org uuid, source uuid, target uuid) RETURNS text
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    present uuid[];
    moved uuid[];
BEGIN
    present := ARRAY(
        SELECT c.id FROM contacts c
         WHERE c.org_id = org AND c.id IN (source, target) AND c.gone_at IS NULL
         ORDER BY c.id
           FOR UPDATE
    );
    IF source <> ALL (present) THEN
        RETURN 'source';
    ELSIF target <> ALL (present) THEN
        RETURN 'target';
    END IF;
    UPDATE contact_identities i SET contact_id = target WHERE i.org_id = org AND i.contact_id = source;

    -- Not FOR UPDATE: whoever answers on a ticket holds it and looks at its conversation then.
    PERFORM FROM conversations v
      WHERE v.org_id = org AND v.contact_id IN (source, target)
      ORDER BY v.channel_id, v.contact_id
        FOR NO KEY UPDATE;
    INSERT INTO conversations AS v (org_id, channel_id, contact_id, ticket_id, last_inbound_provider_at, created_at)
    SELECT org, s.channel_id, target, s.ticket_id, s.last_inbound_provider_at, s.created_at
      FROM conversations s
     WHERE s.org_id = org AND s.contact_id = source
     ORDER BY s.channel_id
    ON CONFLICT (org_id, channel_id, contact_id) DO UPDATE
       SET last_inbound_provider_at = greatest(v.last_inbound_provider_at, excluded.last_inbound_provider_at),
           -- The newest of the one person's tickets.
           ticket_id = (
               SELECT t.id FROM tickets t
                WHERE t.org_id = org AND t.id IN (v.ticket_id, excluded.ticket_id)
                ORDER BY t.number DESC
                LIMIT 1
           );
    UPDATE conversations v SET ticket_id = NULL WHERE v.org_id = org AND v.contact_id = source;

    moved := ARRAY(
        SELECT t.id FROM tickets t WHERE t.org_id = org AND t.contact_id = source ORDER BY t.id FOR NO KEY UPDATE
    );
    UPDATE tickets t SET contact_id = target, updated_at = now() WHERE t.org_id = org AND t.id = ANY (moved);
    UPDATE messages m
       SET contact_id = target, author_id = CASE m.author_type WHEN 'contact' THEN target ELSE m.author_id END
     WHERE m.org_id = org AND m.ticket_id = ANY (moved);
    UPDATE messages m SET contact_id = target WHERE m.org_id = org AND m.contact_id = source AND m.ticket_id IS NULL;
    INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
    SELECT org, 'ticket.updated', t.id, t.id, jsonb_build_object('fields', '["contact"]'::jsonb, 'contactId', target)
      FROM unnest(moved) AS t (id);

    UPDATE contacts t
       SET name = CASE WHEN t.name IS NULL OR t.name IN (t.phone, t.handle) THEN coalesce(s.name, t.name) ELSE t.name END,
           phone = coalesce(t.phone, s.phone), handle = coalesce(t.handle, s.handle), email = coalesce(t.email, s.email),
           opted_out = CASE
                           WHEN s.opted_out_changed_at > t.opted_out_changed_at THEN s.opted_out
                           WHEN s.opted_out_changed_at < t.opted_out_changed_at THEN t.opted_out
                           ELSE s.opted_out OR t.opted_out
                       END,
           opted_out_changed_at = greatest(s.opted_out_changed_at, t.opted_out_changed_at),
           updated_at = now()
      FROM contacts s
     WHERE t.org_id = org AND t.id = target AND s.org_id = org AND s.id = source;
    UPDATE contacts c
       SET gone_at = now(), updated_at = now(), name = NULL, phone = NULL, handle = NULL, email = NULL
     WHERE c.org_id = org AND c.id = source;
    RETURN 'merged';
END
$$;
GRANT EXECUTE ON FUNCTION merge_contacts(uuid, uuid, uuid) TO delightchat_app;

-- Empties a contact and everything that it wrote or was written to it, and returns its tickets; the contact must be locked. Rows,
-- numbers and times stay, so that what was counted stays countable.
CREATE FUNCTION erase_contact(org uuid, contact uuid) RETURNS uuid[]
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    emptied uuid[];
BEGIN
    PERFORM FROM conversations v
      WHERE v.org_id = org AND v.contact_id = contact
      ORDER BY v.channel_id
        FOR NO KEY UPDATE;
    emptied := ARRAY(
        SELECT t.id FROM tickets t WHERE t.org_id = org AND t.contact_id = contact ORDER BY t.id FOR NO KEY UPDATE
    );
    DELETE FROM early_statuses s
     USING messages m
     WHERE s.org_id = org AND m.org_id = org AND s.channel_id = m.channel_id AND s.external_id = m.external_id
       AND (m.ticket_id = ANY (emptied) OR (m.ticket_id IS NULL AND m.contact_id = contact));
    DELETE FROM reactions r
     USING messages m
     WHERE r.org_id = org AND m.org_id = org AND r.message_id = m.id
       AND (m.ticket_id = ANY (emptied) OR (m.ticket_id IS NULL AND m.contact_id = contact));
    WITH emptied_messages AS (
        UPDATE messages m
           SET text = '', attachments = '[]', template = NULL, metadata = NULL, external_id = NULL, error_message = NULL,
               author_name = CASE m.author_type WHEN 'contact' THEN NULL ELSE m.author_name END,
               status = CASE m.status WHEN 'queued' THEN 'failed' ELSE m.status END,
               error_code = CASE m.status WHEN 'queued' THEN 'contact_erased' ELSE m.error_code END,
               next_attempt_at = NULL
         WHERE m.org_id = org
           AND (m.ticket_id = ANY (emptied) OR (m.ticket_id IS NULL AND m.contact_id = contact))
        RETURNING m.id, m.ticket_id, m.error_code
    )
    INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
    SELECT org, 'message.updated', e.id, e.ticket_id,
           jsonb_build_object('ticketId', e.ticket_id, 'status', 'failed', 'error', e.error_code)
      FROM emptied_messages e
     WHERE e.error_code = 'contact_erased';
    UPDATE tickets t SET subject = NULL, updated_at = now() WHERE t.org_id = org AND t.id = ANY (emptied);
    INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
    SELECT org, 'ticket.updated', t.id, t.id, '{"fields": ["contact", "subject"]}' FROM unnest(emptied) AS t (id);
    DELETE FROM contact_identities i WHERE i.org_id = org AND i.contact_id = contact;
    UPDATE contacts c
       SET gone_at = now(), updated_at = now(), name = NULL, phone = NULL, handle = NULL, email = NULL
     WHERE c.org_id = org AND c.id = contact;
    RETURN emptied;
END
$$;
GRANT EXECUTE ON FUNCTION erase_contact(uuid, uuid) TO delightchat_app;

-- An erasure, for as long as jobs that were accepted before it may turn up. Its identities are keyed digests: whoever holds the
-- key can tell that a job is such a person's, and nobody can tell who they are.
CREATE TABLE erasures (
    org_id uuid NOT NULL REFERENCES organisations (id),
    id uuid NOT NULL DEFAULT uuid_v7(),
    -- The queue's time up to which the person's jobs are dropped.
    accepted_until bigint NOT NULL,
    -- When the jobs that lay in the queue had been taken out; NULL: that is still to be done.
    cleared_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL DEFAULT now() + interval '31 days',
    PRIMARY KEY (org_id, id)
);
SELECT protect_table('erasures', 'SELECT, INSERT, UPDATE, DELETE');
SELECT open_to_directory('erasures', 'SELECT (org_id, id, cleared_at, created_at, expires_at)');

CREATE TABLE erased_identities (
    org_id uuid NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    erasure_id uuid NOT NULL,
    PRIMARY KEY (org_id, hash, erasure_id),
    FOREIGN KEY (org_id, erasure_id) REFERENCES erasures (org_id, id) ON DELETE CASCADE
);
CREATE INDEX erased_identities_by_erasure ON erased_identities (org_id, erasure_id);
SELECT protect_table('erased_identities', 'SELECT, INSERT, DELETE');

-- Which of these jobs, each given by a digest of one of its sender's ids and its acceptance, are an erased person's.
CREATE FUNCTION find_erased(org uuid, jobs integer[], hashes bytea[], accepted bigint[])
    RETURNS TABLE (job integer)
    LANGUAGE sql STABLE
AS $$
    SELECT DISTINCT x.job
      FROM unnest(jobs, hashes, accepted) AS x (job, hash, at)
      JOIN erased_identities i ON i.org_id = org AND i.hash = x.hash
      JOIN erasures e ON e.org_id = org AND e.id = i.erasure_id AND e.accepted_until >= x.at
$$;
GRANT EXECUTE ON FUNCTION find_erased(uuid, integer[], bytea[], bigint[]) TO delightchat_app;

-- Raises DC410 when find_erased finds any. Comes after what the jobs store, in the same transaction: an erasure that committed
-- before they looked for their contact is seen here, and a later one waits for them and erases what they stored.
CREATE FUNCTION refuse_erased(org uuid, jobs integer[], hashes bytea[], accepted bigint[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    IF EXISTS (SELECT FROM find_erased(org, jobs, hashes, accepted)) THEN
        RAISE EXCEPTION 'a sender has been erased' USING ERRCODE = 'DC410';
    END IF;
END
$$;
GRANT EXECUTE ON FUNCTION refuse_erased(uuid, integer[], bytea[], bigint[]) TO delightchat_app;

-- Erasures whose jobs may still lie in the queue, and those whose time has passed.
CREATE FUNCTION find_erasures_to_finish(older_than interval, max integer DEFAULT 1000)
    RETURNS TABLE (org_id uuid, erasure_id uuid)
    LANGUAGE sql STABLE
AS $$
    SELECT e.org_id, e.id
      FROM erasures e
     WHERE (e.cleared_at IS NULL AND e.created_at < now() - older_than) OR e.expires_at <= now()
     ORDER BY e.created_at
     LIMIT max
$$;
SELECT hand_to_directory('find_erasures_to_finish(interval, integer)');

-- What a stored answer tells of: the ids in its path and body. Answers are sealed, so this is how those about one contact are
-- found.
ALTER TABLE idempotency_keys ADD COLUMN mentions uuid[] NOT NULL DEFAULT '{}';

-- A subject may name a person, so an erasure takes it out of the entries about that person's tickets: the one change that entries
-- know, and this function, which nobody can have touch another ticket, the one way to it.
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_user = 'delightchat_directory' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION '% on % is refused: entries are never changed', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;
SELECT open_to_directory('audit', 'SELECT (org_id, entity_type, entity_id, changes), UPDATE (changes)');
CREATE FUNCTION erase_audited_subjects(contact uuid) RETURNS void
    LANGUAGE sql VOLATILE
AS $$
    UPDATE audit a
       SET changes = a.changes || '{"subject": {"from": null, "to": null}}'
      FROM tickets t
      JOIN contacts c ON c.org_id = t.org_id AND c.id = t.contact_id AND c.gone_at IS NOT NULL
     WHERE t.org_id = nullif(current_setting('app.org_id', true), '')::uuid AND t.contact_id = contact
       AND a.org_id = t.org_id AND a.entity_type = 'ticket' AND a.entity_id = t.id AND a.changes ? 'subject'
$$;
SELECT hand_to_directory('erase_audited_subjects(uuid)');
