-- Any order, any repetition: what one conversation's webhooks tell ends in the same rows. What was left to chance until now:
-- times of receipts, which messages a receipt up to another one covers, quotes of messages that come later, originals that come
-- after their edits, names that come after ids, referrals.

-- The provider's id of the message that this one quotes, for as long as no such message is known.
ALTER TABLE messages ADD COLUMN quotes text CHECK (quotes <> '' AND octet_length(quotes) <= 1024);
CREATE INDEX messages_by_quotes ON messages (org_id, channel_id, quotes) WHERE quotes IS NOT NULL;
-- When the contact came by the link or the advertisement.
ALTER TABLE contacts ADD COLUMN referral_at timestamptz;

-- One row for each receipt: a message that is recorded later takes the time of the first that covers it. Those a day older than the
-- newest go, whose messages have come by then. `at` is -infinity where the provider told no time. A receipt up to a message is kept
-- by that message's time: the order in which both were accepted says nothing.
TRUNCATE receipt_marks;
ALTER TABLE receipt_marks DROP CONSTRAINT receipt_marks_pkey;
ALTER TABLE receipt_marks DROP COLUMN accepted_at;
ALTER TABLE receipt_marks ADD PRIMARY KEY (org_id, channel_id, contact_id, status, at);

-- Moves one outbound message forward. One that is there or further takes the earlier times. Times that were not told are those of
-- the next status, so a sent_at that is also the delivered_at yields to a better one.
CREATE OR REPLACE FUNCTION advance_message(
    org uuid, message uuid, new_status text, at timestamptz, code text, reason text
) RETURNS void
    LANGUAGE sql VOLATILE
AS $$
    WITH advanced AS (
        UPDATE messages m
           SET status = new_status,
               sent_at = CASE WHEN new_status = 'failed' THEN m.sent_at ELSE coalesce(m.sent_at, at, now()) END,
               delivered_at = CASE WHEN new_status IN ('delivered', 'read') THEN coalesce(m.delivered_at, at, now())
                                   ELSE m.delivered_at END,
               read_at = CASE WHEN new_status = 'read' THEN coalesce(m.read_at, at, now()) ELSE m.read_at END,
               error_code = CASE WHEN new_status = 'failed' THEN coalesce(code, 'failed') END,
               error_message = CASE WHEN new_status = 'failed' THEN reason END,
               next_attempt_at = NULL
         WHERE m.org_id = org AND m.id = message AND m.direction = 'outbound'
           AND status_rank(m.status) < status_rank(new_status)
        RETURNING m.id, m.ticket_id
    )
    INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
    SELECT org, 'message.updated', a.id, a.ticket_id, jsonb_build_object('ticketId', a.ticket_id, 'status', new_status)
      FROM advanced a WHERE a.ticket_id IS NOT NULL;
    UPDATE messages m
       SET sent_at = b.sent_at, delivered_at = b.delivered_at, read_at = b.read_at
      FROM (
            SELECT k.id,
                   CASE
                       WHEN k.sent_at IS DISTINCT FROM k.delivered_at AND k.sent_at IS NOT NULL THEN k.sent_at
                       WHEN new_status = 'sent' THEN at
                       ELSE least(k.sent_at, at)
                   END AS sent_at,
                   CASE WHEN new_status = 'sent' THEN k.delivered_at ELSE least(k.delivered_at, at) END AS delivered_at,
                   CASE WHEN new_status = 'read' THEN least(k.read_at, at) ELSE k.read_at END AS read_at
              FROM messages k
             WHERE k.org_id = org AND k.id = message AND k.direction = 'outbound' AND at IS NOT NULL
               AND new_status <> 'failed' AND status_rank(k.status) >= status_rank(new_status)
               AND (new_status = 'sent' OR k.status <> 'failed')
           ) b
     WHERE m.org_id = org AND m.id = b.id
       AND (m.sent_at, m.delivered_at, m.read_at) IS DISTINCT FROM (b.sent_at, b.delivered_at, b.read_at)
$$;

DROP FUNCTION covers(timestamptz, numeric, bigint, text, timestamptz, bigint);
-- Whether a receipt covers a message.
CREATE FUNCTION covers(until timestamptz, number numeric, external text, tried timestamptz) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(tried <= until, false)
        OR coalesce(CASE WHEN external ~ '^[0-9]{1,30}$' THEN external::numeric <= number END, false)
$$;

-- Keeps a receipt and moves what it covers forward. False where the person or the message that it names isn't known yet.
CREATE OR REPLACE FUNCTION reach_messages(
    org uuid, channel uuid, person jsonb, reached text, at timestamptz, up_to bigint, external text
) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    who uuid := find_person(org, channel, person);
    moment timestamptz := coalesce(reach_messages.at, '-infinity');
    reach_until timestamptz;
    is_late boolean;
    target uuid;
BEGIN
    IF who IS NULL THEN
        RETURN false;
    END IF;
    IF up_to IS NULL AND external IS NULL THEN
        reach_until := reach_messages.at;
    ELSIF up_to IS NULL THEN
        -- By when it was tried: the moment of its answer is ours and may lie behind the provider's.
        SELECT coalesce(m.attempted_at, m.sent_at, m.provider_at, m.created_at) INTO reach_until
          FROM messages m
         WHERE m.org_id = org AND m.channel_id = channel AND m.external_id = external AND m.contact_id = who;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
    END IF;
    -- Also the lock against a message that is recorded at this moment.
    INSERT INTO receipt_marks AS r (org_id, channel_id, contact_id, status, until, number, at)
    VALUES (org, channel, who, reached, reach_until, up_to, moment)
    ON CONFLICT ON CONSTRAINT receipt_marks_pkey DO UPDATE
       SET until = greatest(r.until, excluded.until), number = greatest(r.number, excluded.number);
    DELETE FROM receipt_marks r
     WHERE r.org_id = org AND r.channel_id = channel AND r.contact_id = who AND r.status = reached
       AND r.at < moment - interval '1 day';
    is_late := EXISTS (
        SELECT FROM receipt_marks r
         WHERE r.org_id = org AND r.channel_id = channel AND r.contact_id = who AND r.at > moment
    );
    FOR target IN
        SELECT m.id
          FROM (
                SELECT k.id, k.external_id, k.attempted_at, k.sent_at, k.created_at
                  FROM messages k
                 WHERE k.org_id = org AND k.channel_id = channel AND k.contact_id = who
                   AND k.direction = 'outbound' AND k.status IN ('sent', 'delivered')
                 UNION ALL
                -- Behind a later one: what that has moved takes the earlier time.
                SELECT k.id, k.external_id, k.attempted_at, k.sent_at, k.created_at
                  FROM tickets t
                  JOIN messages k ON k.org_id = org AND k.ticket_id = t.id AND k.direction = 'outbound' AND k.status = 'read'
                 WHERE is_late AND t.org_id = org AND t.contact_id = who AND t.channel_id = channel
               ) m
         WHERE covers(reach_until, up_to, m.external_id, coalesce(m.attempted_at, m.sent_at, m.created_at))
         ORDER BY m.external_id
    LOOP
        PERFORM advance_message(org, target, reached, reach_messages.at, NULL, NULL);
    END LOOP;
    RETURN true;
END
$$;

-- Ties messages to the one that they quote, which has become known under `external`.
CREATE FUNCTION tie_quotes(org uuid, channel uuid, message uuid, external text) RETURNS void
    LANGUAGE sql VOLATILE
AS $$
    WITH tied AS (
        UPDATE messages m SET reply_to = message, quotes = NULL
         WHERE m.org_id = org AND m.channel_id = channel AND m.quotes = external AND m.id <> message
        RETURNING m.id, m.ticket_id
    )
    INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
    SELECT org, 'message.updated', t.id, t.ticket_id, jsonb_build_object('ticketId', t.ticket_id, 'fields', '["replyTo"]'::jsonb)
      FROM tied t
$$;

-- As before; besides, the times of all earlier receipts, and what quotes the message.
CREATE OR REPLACE FUNCTION apply_early_statuses() RETURNS trigger
    LANGUAGE plpgsql
AS $$
DECLARE
    early record;
BEGIN
    PERFORM lock_external_id(NEW.org_id, NEW.channel_id, NEW.external_id);
    FOR early IN
        DELETE FROM early_statuses e
         WHERE e.org_id = NEW.org_id AND e.channel_id = NEW.channel_id AND e.external_id = NEW.external_id
        RETURNING e.status, e.provider_at, e.error_code, e.error_message
    LOOP
        PERFORM advance_message(
            NEW.org_id, NEW.id, early.status, early.provider_at, early.error_code, early.error_message
        );
    END LOOP;
    FOR early IN
        SELECT r.status, nullif(r.at, '-infinity') AS at
          FROM receipt_marks r
         WHERE r.org_id = NEW.org_id AND r.channel_id = NEW.channel_id AND r.contact_id = NEW.contact_id
           AND covers(r.until, r.number, NEW.external_id, coalesce(NEW.attempted_at, NEW.sent_at, NEW.created_at))
         ORDER BY r.status, r.at
           FOR SHARE
    LOOP
        PERFORM advance_message(NEW.org_id, NEW.id, early.status, early.at, NULL, NULL);
    END LOOP;
    PERFORM tie_quotes(NEW.org_id, NEW.channel_id, NEW.id, NEW.external_id);
    RETURN NULL;
END
$$;

-- As before; besides, no id of what it quoted.
CREATE OR REPLACE FUNCTION erase_message_parts() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    DELETE FROM message_parts p WHERE p.org_id = NEW.org_id AND p.message_id = NEW.id;
    UPDATE messages m SET quotes = NULL WHERE m.org_id = NEW.org_id AND m.id = NEW.id AND m.quotes IS NOT NULL;
    RETURN NULL;
END
$$;

-- The files of a message that was known by its edit alone until its original came.
CREATE TRIGGER note_attachments_of_originals AFTER UPDATE OF attachments ON messages
    FOR EACH ROW
    WHEN (OLD.attachments = '[]' AND NEW.attachments <> '[]' AND NEW.direction = 'inbound')
    EXECUTE FUNCTION note_attachments();

-- Whether a contact's name is none: one of their ids stands for it until a name is told.
CREATE FUNCTION is_nameless(org uuid, contact uuid, name text, phone text, handle text) RETURNS boolean
    LANGUAGE sql STABLE
AS $$
    SELECT name IS NULL OR coalesce(name = phone, false) OR coalesce(name = handle, false)
        OR (
            -- Ids have digits, few names have.
            name ~ '[0-9]' AND EXISTS (
                SELECT FROM contact_identities i
                 WHERE i.org_id = org AND i.contact_id = contact AND i.kind = 'external' AND i.value = name
            )
        )
$$;

-- Messages of somebody whom an id stood for until now show the name.
CREATE FUNCTION name_authors() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF is_nameless(OLD.org_id, OLD.id, OLD.name, OLD.phone, OLD.handle) THEN
        UPDATE messages m
           SET author_name = NEW.name
          FROM tickets t
         WHERE t.org_id = NEW.org_id AND t.contact_id = NEW.id AND m.org_id = NEW.org_id AND m.ticket_id = t.id
           AND m.author_type = 'contact' AND m.author_name = OLD.name;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER name_authors AFTER UPDATE OF name ON contacts
    FOR EACH ROW WHEN (OLD.name IS DISTINCT FROM NEW.name AND OLD.name IS NOT NULL AND NEW.name IS NOT NULL)
    EXECUTE FUNCTION name_authors();

-- As before; besides, a contact that was known by fewer ids or by no name takes them.
CREATE OR REPLACE FUNCTION find_or_make_person(org uuid, channel uuid, person jsonb) RETURNS uuid
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    found_id uuid := find_person(org, channel, person);
BEGIN
    IF found_id IS NULL THEN
        INSERT INTO contacts (org_id, name, phone, handle)
        VALUES (
            org, left(coalesce(person ->> 'name', person ->> 'phone', person ->> 'handle', person ->> 'externalId'), 200),
            person ->> 'phone', person ->> 'handle'
        )
        RETURNING id INTO found_id;
        PERFORM name_person(org, channel, found_id, person);
        IF find_person(org, channel, person) IS DISTINCT FROM found_id THEN
            RAISE EXCEPTION 'a contact was made by another transaction' USING ERRCODE = 'serialization_failure';
        END IF;
    ELSE
        PERFORM name_person(org, channel, found_id, person);
        UPDATE contacts k
           SET name = coalesce(n.name, k.name), phone = coalesce(k.phone, person ->> 'phone'),
               handle = coalesce(k.handle, person ->> 'handle'), updated_at = now()
          FROM (
                SELECT CASE WHEN is_nameless(org, c.id, c.name, c.phone, c.handle) THEN left(person ->> 'name', 200) END AS name
                  FROM contacts c
                 WHERE c.org_id = org AND c.id = found_id
               ) n
         WHERE k.org_id = org AND k.id = found_id
           AND (
               (n.name IS NOT NULL AND k.name IS DISTINCT FROM n.name)
               OR (k.phone IS NULL AND person ->> 'phone' IS NOT NULL)
               OR (k.handle IS NULL AND person ->> 'handle' IS NOT NULL)
           );
    END IF;
    RETURN found_id;
END
$$;

-- As before; what it quotes may come later.
CREATE OR REPLACE FUNCTION record_echo(
    org uuid, channel uuid, external text, ours uuid, person jsonb, at timestamptz, content text, files jsonb, extra jsonb,
    quoted text, accepted bigint, is_patient boolean, part integer, parts integer
) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    contact uuid;
    ticket uuid;
    message uuid;
    target uuid;
    written timestamptz := least(clock_timestamp(), to_timestamp(accepted / 1000000.0));
BEGIN
    PERFORM FROM messages m WHERE m.org_id = org AND m.channel_id = channel AND m.external_id = external
      UNION ALL
    SELECT FROM message_parts p WHERE p.org_id = org AND p.channel_id = channel AND p.external_id = external;
    IF FOUND THEN
        RETURN true;
    END IF;
    IF parts > 1 THEN
        IF settle_part(org, channel, ours, part, parts, external, at) THEN
            RETURN true;
        END IF;
    END IF;
    IF ours IS NOT NULL AND parts IS NULL THEN
        UPDATE messages m SET external_id = external
         WHERE m.org_id = org AND m.id = ours AND m.channel_id = channel AND m.direction = 'outbound' AND m.external_id IS NULL
        RETURNING m.id INTO message;
        IF FOUND THEN
            PERFORM confirm_message(org, message, 'sent', at, NULL, NULL);
            RETURN true;
        END IF;
    END IF;
    contact := find_or_make_person(org, channel, person);
    INSERT INTO conversations AS v (org_id, channel_id, contact_id) VALUES (org, channel, contact)
    ON CONFLICT (org_id, channel_id, contact_id) DO UPDATE SET ticket_id = v.ticket_id
    RETURNING v.ticket_id INTO ticket;
    IF is_patient AND EXISTS (
        SELECT FROM messages m
         WHERE m.org_id = org AND m.ticket_id = ticket AND m.status = 'queued' AND m.attempts > 0
    ) THEN
        RETURN false;
    END IF;
    IF ticket IS NULL THEN
        INSERT INTO tickets (org_id, number, channel_id, contact_id, last_message_at, first_response_at, created_at)
        VALUES (org, next_ticket_number(org), channel, contact, written, written, written)
        RETURNING id INTO ticket;
        UPDATE conversations v SET ticket_id = ticket
         WHERE v.org_id = org AND v.channel_id = channel AND v.contact_id = contact;
        INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
        VALUES (
            org, 'ticket.created', ticket, ticket,
            jsonb_build_object('channelId', channel, 'contactId', contact, 'assigneeId', NULL)
        );
    END IF;
    UPDATE tickets t
       SET last_message_at = greatest(t.last_message_at, written), unread_count = 0,
           first_response_at = coalesce(t.first_response_at, written), updated_at = now()
     WHERE t.org_id = org AND t.id = ticket;
    SELECT q.id INTO target FROM messages q WHERE q.org_id = org AND q.channel_id = channel AND q.external_id = quoted;
    INSERT INTO messages
           (org_id, channel_id, contact_id, ticket_id, direction, author_type, text, attachments, metadata, status, external_id,
            reply_to, quotes, provider_at, accepted_at, created_at, sent_at)
    SELECT org, channel, contact, ticket, 'outbound', 'system', content, files, extra, 'sent', external,
           target, CASE WHEN target IS NULL THEN quoted END, at, accepted, written, coalesce(at, written)
    ON CONFLICT (org_id, channel_id, external_id) DO NOTHING
    RETURNING id INTO message;
    IF FOUND THEN
        INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
        VALUES (org, 'message.created', message, ticket, '{"direction": "outbound", "status": "sent"}');
    END IF;
    RETURN true;
END
$$;

-- As before, but for referrals, edits of one number, and receipts of one status.
CREATE OR REPLACE FUNCTION apply_changes(org uuid, changes jsonb) RETURNS integer[]
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c record;
    waiting integer[] := '{}';
    who uuid;
    target uuid;
    ticket uuid;
    mark bigint;
    is_whole boolean;
BEGIN
    FOR c IN
        SELECT x.place::integer AS place, x.value ->> 'kind' AS kind, (x.value ->> 'channelId')::uuid AS channel,
               x.value ->> 'externalId' AS external, (x.value ->> 'messageId')::uuid AS ours,
               (x.value ->> 'part')::integer AS part, (x.value ->> 'parts')::integer AS parts,
               coalesce((x.value ->> 'haltsCampaign')::boolean, false) AS halts_campaign, x.value -> 'person' AS person,
               x.value -> 'successor' AS successor, (x.value ->> 'at')::timestamptz AS at, x.value ->> 'status' AS status,
               x.value ->> 'code' AS code, x.value ->> 'reason' AS reason, (x.value ->> 'number')::bigint AS number,
               x.value ->> 'emoji' AS emoji, (x.value ->> 'isOptOut')::boolean AS is_opt_out,
               coalesce(x.value ->> 'text', '') AS text, coalesce(x.value -> 'attachments', '[]') AS attachments,
               x.value ->> 'replyTo' AS quoted, nullif(x.value -> 'metadata', 'null') AS metadata,
               (x.value ->> 'acceptedAt')::bigint AS accepted, (x.value ->> 'isPatient')::boolean AS is_patient
          FROM jsonb_array_elements(changes) WITH ORDINALITY AS x (value, place)
         ORDER BY array_position(
                      ARRAY['revoked', 'identity', 'preference', 'referral', 'echo', 'edit', 'unsend', 'reaction', 'status', 'reach'],
                      x.value ->> 'kind'
                  ),
                  x.value ->> 'externalId', place
    LOOP
        target := NULL;
        CASE c.kind
        WHEN 'revoked' THEN
            WITH lost AS (
                UPDATE channels h SET status = 'error', status_reason = c.text, updated_at = now()
                 WHERE h.org_id = org AND h.id = c.channel AND h.status = 'active' AND h.deleted_at IS NULL
                RETURNING h.id
            )
            INSERT INTO events (org_id, type, entity_id, payload)
            SELECT org, 'channel.updated', l.id, '{"status": {"from": "active", "to": "error"}}' FROM lost l;

        WHEN 'identity' THEN
            who := find_person(org, c.channel, c.person);
            IF who IS NOT NULL AND coalesce(find_person(org, c.channel, c.successor), who) = who THEN
                -- The old number may be somebody else's by now.
                IF c.successor ->> 'phone' <> c.person ->> 'phone' THEN
                    DELETE FROM contact_identities i
                     WHERE i.org_id = org AND i.scope = '00000000-0000-0000-0000-000000000000' AND i.kind = 'phone'
                       AND i.value = c.person ->> 'phone' AND i.contact_id = who;
                    UPDATE contacts k
                       SET name = CASE WHEN k.name = k.phone THEN c.successor ->> 'phone' ELSE k.name END,
                           phone = c.successor ->> 'phone', updated_at = now()
                     WHERE k.org_id = org AND k.id = who;
                END IF;
                PERFORM name_person(org, c.channel, who, c.successor);
            END IF;

        WHEN 'preference' THEN
            mark := floor(extract(epoch FROM coalesce(c.at, to_timestamp(c.accepted / 1000000.0))) * 1000000);
            who := find_or_make_person(org, c.channel, c.person);
            UPDATE contacts k
               SET opted_out = c.is_opt_out, opted_out_changed_at = mark, updated_at = now()
             WHERE k.org_id = org AND k.id = who AND k.opted_out_changed_at < mark;

        WHEN 'referral' THEN
            who := find_person(org, c.channel, c.person);
            IF who IS NULL THEN
                waiting := waiting || c.place;
            END IF;
            UPDATE contacts k
               SET referral = c.metadata, referral_at = coalesce(c.at, to_timestamp(c.accepted / 1000000.0)), updated_at = now()
             WHERE k.org_id = org AND k.id = who
               AND coalesce(k.referral_at, '-infinity') < coalesce(c.at, to_timestamp(c.accepted / 1000000.0));

        WHEN 'echo' THEN
            IF NOT record_echo(
                org, c.channel, c.external, c.ours, c.person, c.at, c.text, c.attachments, c.metadata, c.quoted, c.accepted,
                c.is_patient, c.part, c.parts
            ) THEN
                waiting := waiting || c.place;
            END IF;

        WHEN 'edit', 'unsend', 'reaction' THEN
            SELECT m.id, m.ticket_id INTO target, ticket
              FROM messages m
             WHERE m.org_id = org AND m.channel_id = c.channel AND m.external_id = c.external
               FOR NO KEY UPDATE;
            IF NOT FOUND THEN
                SELECT m.id, m.ticket_id INTO target, ticket
                  FROM message_parts p
                  JOIN messages m ON m.org_id = p.org_id AND m.id = p.message_id
                 WHERE p.org_id = org AND p.channel_id = c.channel AND p.external_id = c.external
                   FOR NO KEY UPDATE OF m;
            END IF;
            IF NOT FOUND THEN
                waiting := waiting || c.place;
            ELSIF c.kind = 'edit' THEN
                WITH edited AS (
                    UPDATE messages m SET text = c.text, edit_number = c.number
                     WHERE m.org_id = org AND m.id = target AND m.deleted_at IS NULL
                       AND (
                           coalesce(m.edit_number, -1) < c.number
                           -- Of two with the same number the same one stands, whichever comes first.
                           OR (m.edit_number = c.number AND m.text COLLATE "C" < c.text COLLATE "C")
                       )
                    RETURNING m.id
                )
                INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
                SELECT org, 'message.updated', e.id, ticket, jsonb_build_object('ticketId', ticket, 'fields', '["text"]'::jsonb)
                  FROM edited e;
            ELSIF c.kind = 'unsend' THEN
                WITH erased AS (
                    UPDATE messages m
                       SET text = '', attachments = '[]', deleted_at = coalesce(c.at, now()),
                           -- Its original may be yet to come.
                           metadata = CASE WHEN m.metadata = '{"isEditAlone": true}' THEN m.metadata END
                     WHERE m.org_id = org AND m.id = target AND m.deleted_at IS NULL
                    RETURNING m.id
                )
                INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
                SELECT org, 'message.updated', e.id, ticket,
                       jsonb_build_object('ticketId', ticket, 'fields', '["text", "attachments"]'::jsonb)
                  FROM erased e;
            ELSE
                WITH reacted AS (
                    INSERT INTO reactions AS r (org_id, message_id, by, emoji, reacted_at, removed_at)
                    VALUES (
                        org, target, 'contact', coalesce(c.emoji, '-'), c.at, CASE WHEN c.emoji IS NULL THEN now() END
                    )
                    ON CONFLICT (org_id, message_id, by) DO UPDATE
                       SET emoji = excluded.emoji, reacted_at = excluded.reacted_at, removed_at = excluded.removed_at
                     WHERE coalesce(r.reacted_at, '-infinity') < coalesce(excluded.reacted_at, 'infinity')
                    RETURNING r.message_id
                )
                INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
                SELECT org, 'message.updated', r.message_id, ticket,
                       jsonb_build_object('ticketId', ticket, 'fields', '["reactions"]'::jsonb)
                  FROM reacted r;
            END IF;

        WHEN 'status' THEN
            is_whole := true;
            SELECT m.id INTO target FROM messages m
             WHERE m.org_id = org AND m.channel_id = c.channel AND m.external_id = c.external;
            IF target IS NULL AND c.parts > 1 THEN
                PERFORM settle_part(org, c.channel, c.ours, c.part, c.parts, c.external, c.at);
                SELECT m.id INTO target FROM messages m
                 WHERE m.org_id = org AND m.channel_id = c.channel AND m.external_id = c.external;
            ELSIF target IS NULL AND c.ours IS NOT NULL THEN
                UPDATE messages m SET external_id = c.external
                 WHERE m.org_id = org AND m.id = c.ours AND m.channel_id = c.channel AND m.direction = 'outbound'
                   AND m.external_id IS NULL
                RETURNING m.id INTO target;
            END IF;
            IF target IS NULL THEN
                SELECT p.message_id INTO target FROM message_parts p
                 WHERE p.org_id = org AND p.channel_id = c.channel AND p.external_id = c.external;
                is_whole := target IS NULL;
            END IF;
            IF target IS NULL THEN
                PERFORM lock_external_id(org, c.channel, c.external);
                SELECT m.id INTO target FROM messages m
                 WHERE m.org_id = org AND m.channel_id = c.channel AND m.external_id = c.external;
            END IF;
            IF target IS NULL THEN
                INSERT INTO early_statuses AS s
                       (org_id, channel_id, external_id, status, provider_at, error_code, error_message, message_id)
                VALUES (org, c.channel, c.external, c.status, c.at, c.code, c.reason, c.ours)
                ON CONFLICT (org_id, channel_id, external_id, status) DO UPDATE
                   SET provider_at = least(s.provider_at, excluded.provider_at);
            -- A message is delivered when the last of its parts is; it has failed when any has.
            ELSIF is_whole OR c.status = 'failed' THEN
                PERFORM confirm_message(org, target, c.status, c.at, c.code, c.reason);
            END IF;
            IF c.halts_campaign AND target IS NOT NULL THEN
                WITH paused AS (
                    UPDATE campaigns x SET status = 'paused', updated_at = now()
                     WHERE x.org_id = org AND x.status = 'running'
                       AND x.id = (SELECT m.author_id FROM messages m
                                    WHERE m.org_id = org AND m.id = target AND m.author_type = 'campaign')
                    RETURNING x.id
                )
                INSERT INTO events (org_id, type, entity_id, payload)
                SELECT org, 'campaign.updated', p.id,
                       jsonb_build_object(
                           'fields', '["status"]'::jsonb, 'status', jsonb_build_object('from', 'running', 'to', 'paused'),
                           'error', c.code
                       )
                  FROM paused p;
            END IF;
            -- WhatsApp: the person has stopped marketing from us.
            IF c.code = '131050' AND target IS NOT NULL THEN
                mark := floor(extract(epoch FROM coalesce(c.at, to_timestamp(c.accepted / 1000000.0))) * 1000000);
                UPDATE contacts k
                   SET opted_out = true, opted_out_changed_at = mark, updated_at = now()
                 WHERE k.org_id = org AND k.opted_out_changed_at < mark
                   AND k.id = (SELECT m.contact_id FROM messages m WHERE m.org_id = org AND m.id = target);
            END IF;

        WHEN 'reach' THEN
            IF NOT reach_messages(org, c.channel, c.person, c.status, c.at, c.number, c.external) THEN
                waiting := waiting || c.place;
            END IF;
        END CASE;
    END LOOP;
    RETURN waiting;
END
$$;

-- As before; besides, messages that come after what quotes them, originals that come after their edits, and names that come after
-- other ids. STOP and START hold by the provider's time.
CREATE OR REPLACE FUNCTION receive_messages(
    org uuid,
    -- Each id of each sender; the channel is NULL for a phone.
    identity_senders integer[], identity_channels uuid[], identity_kinds text[], identity_values text[],
    -- Each sender as shown; the name is the id where the provider gave none.
    sender_names text[], sender_phones text[], sender_handles text[],
    -- Each message. opt_outs: true for STOP, false for START, NULL otherwise.
    message_senders integer[], message_channels uuid[], external_ids text[], texts text[], attachments text[], metadata text[],
    reply_tos text[], provider_times timestamptz[], accepted bigint[], opt_outs boolean[]
) RETURNS integer
    LANGUAGE plpgsql VOLATILE
    SET enable_seqscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_material = off
    SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    nowhere constant uuid := '00000000-0000-0000-0000-000000000000';
    fresh bigint[];
    -- By id. Under row-level security no index takes a coalesce() of a column, so it is made beforehand.
    identity_scopes uuid[];
    -- By sender.
    contact_ids uuid[];
    names text[];
    known_ids bigint;
    made integer[] := '{}';
    renamed bigint[];
    one integer;
    reopen_within interval;
    -- By message: the number of its conversation.
    message_talks integer[];
    -- By conversation, numbered in key order.
    talk_channels uuid[];
    talk_contacts uuid[];
    talk_tickets uuid[];
    talk_counts integer[];
    talk_firsts timestamptz[];
    talk_lasts timestamptz[];
    talk_provider_times timestamptz[];
    -- Of which conversations the ticket is new, and of which it was there.
    opened integer[];
    kept integer[];
    talk integer;
    first_number bigint;
    assignees uuid[];
    quoted uuid[];
    stored bigint;
    who uuid;
    is_out boolean;
    at bigint;
BEGIN
    -- What was seen before is left out from here on. Planned anew each time: a plan for an empty table of messages would go on
    -- reading all of an organisation's.
    EXECUTE $query$
        SELECT ARRAY(
            SELECT x.n
              FROM unnest($2, $3) WITH ORDINALITY AS x (channel, external_id, n)
             WHERE NOT EXISTS (
                       SELECT FROM messages m
                        WHERE m.org_id = $1 AND m.channel_id = x.channel AND m.external_id = x.external_id
                       OFFSET 0
                   )
             ORDER BY x.n
        )
        $query$
       INTO fresh USING org, message_channels, external_ids;
    -- Of a message that is known by its edit alone, the original tells the rest.
    IF cardinality(fresh) < cardinality(message_senders) THEN
        EXECUTE $query$
            WITH originals AS (
                SELECT k.id, k.channel_id, k.contact_id, x.provider_at,
                       -- Of one that was taken back nothing is to be seen.
                       CASE WHEN k.deleted_at IS NULL THEN x.attachments::jsonb ELSE '[]' END AS attachments,
                       CASE WHEN k.deleted_at IS NULL THEN x.metadata::jsonb END AS metadata,
                       q.id AS reply_to, CASE WHEN q.id IS NULL THEN x.reply_to END AS quotes
                  FROM unnest($2, $3, $4, $5, $6, $7) AS x (channel, external_id, attachments, metadata, reply_to, provider_at)
                 CROSS JOIN LATERAL (
                       SELECT m.id, m.channel_id, m.contact_id, m.deleted_at
                         FROM messages m
                        WHERE m.org_id = $1 AND m.channel_id = x.channel AND m.external_id = x.external_id
                          AND m.metadata = '{"isEditAlone": true}'
                       OFFSET 0
                       ) k
                  LEFT JOIN LATERAL (
                       SELECT m.id FROM messages m
                        WHERE m.org_id = $1 AND m.channel_id = x.channel AND m.external_id = x.reply_to
                       OFFSET 0
                       ) q ON true
                 WHERE x.metadata IS DISTINCT FROM '{"isEditAlone":true}'
            ),
            windows AS (
                UPDATE conversations v
                   SET last_inbound_provider_at = greatest(v.last_inbound_provider_at, o.provider_at)
                  FROM originals o
                 WHERE v.org_id = $1 AND v.channel_id = o.channel_id AND v.contact_id = o.contact_id
            ),
            completed AS (
                UPDATE messages m
                   SET attachments = o.attachments, metadata = o.metadata, reply_to = o.reply_to, quotes = o.quotes,
                       provider_at = o.provider_at
                  FROM originals o
                 WHERE m.org_id = $1 AND m.id = o.id
                RETURNING m.id, m.ticket_id
            )
            INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
            SELECT $1, 'message.updated', c.id, c.ticket_id,
                   jsonb_build_object('ticketId', c.ticket_id, 'fields', '["attachments", "replyTo"]'::jsonb)
              FROM completed c
            $query$
            USING org, message_channels, external_ids, receive_messages.attachments, receive_messages.metadata, reply_tos,
                  provider_times;
    END IF;
    IF cardinality(fresh) = 0 THEN
        RETURN 0;
    END IF;
    IF cardinality(fresh) < cardinality(message_senders) THEN
        SELECT array_agg(x.sender ORDER BY x.n), array_agg(x.channel ORDER BY x.n), array_agg(x.external_id ORDER BY x.n),
               array_agg(x.text ORDER BY x.n), array_agg(x.attachments ORDER BY x.n), array_agg(x.metadata ORDER BY x.n),
               array_agg(x.reply_to ORDER BY x.n), array_agg(x.provider_at ORDER BY x.n), array_agg(x.accepted ORDER BY x.n),
               array_agg(x.opt_out ORDER BY x.n)
          INTO message_senders, message_channels, external_ids, texts, receive_messages.attachments,
               receive_messages.metadata, reply_tos, provider_times, receive_messages.accepted, opt_outs
          FROM unnest(
                   message_senders, message_channels, external_ids, texts, receive_messages.attachments,
                   receive_messages.metadata, reply_tos, provider_times, receive_messages.accepted, opt_outs
               ) WITH ORDINALITY
               AS x (sender, channel, external_id, text, attachments, metadata, reply_to, provider_at, accepted, opt_out, n)
         WHERE x.n = ANY (fresh);
    END IF;

    -- Who they are.
    identity_values := ARRAY(
        SELECT CASE x.kind WHEN 'handle' THEN fold(x.value) ELSE x.value END
          FROM unnest(identity_kinds, identity_values) WITH ORDINALITY AS x (kind, value, n)
         ORDER BY x.n
    );
    identity_scopes := ARRAY(
        SELECT coalesce(x.channel, nowhere) FROM unnest(identity_channels) WITH ORDINALITY AS x (channel, n) ORDER BY x.n
    );
    WITH known AS (
        SELECT x.sender, i.contact_id, array_position(ARRAY['external', 'phone', 'handle'], x.kind) AS place
          FROM unnest(identity_senders, identity_scopes, identity_kinds, identity_values) AS x (sender, scope, kind, value)
         CROSS JOIN LATERAL (
               SELECT c.contact_id
                 FROM contact_identities c
                WHERE c.org_id = org AND c.scope = x.scope AND c.kind = x.kind AND c.value = x.value
               OFFSET 0
               ) i
    ),
    best AS (
        SELECT DISTINCT ON (k.sender) k.sender, k.contact_id
          FROM (
                SELECT sender, contact_id, place FROM known
                UNION ALL
                SELECT s.n, NULL, 9 FROM generate_subscripts(sender_names, 1) AS s (n)
               ) k
         ORDER BY k.sender, k.place
    )
    SELECT array_agg(b.contact_id ORDER BY b.sender), (SELECT count(*) FROM known)
      INTO contact_ids, known_ids
      FROM best b;

    IF known_ids < cardinality(identity_senders) THEN
        FOR i IN 1 .. cardinality(sender_names) LOOP
            -- A sender all of whose messages were seen before makes no contact.
            IF contact_ids[i] IS NULL AND i = ANY (message_senders) THEN
                contact_ids[i] := uuid_v7();
                made := made || i;
            END IF;
        END LOOP;
        INSERT INTO contacts (org_id, id, name, phone, handle)
        SELECT org, contact_ids[x.sender], sender_names[x.sender], sender_phones[x.sender], sender_handles[x.sender]
          FROM unnest(made) AS x (sender);
        -- By key, so that two batches never wait for each other in a circle.
        INSERT INTO contact_identities (org_id, channel_id, kind, value, contact_id)
        SELECT org, x.channel, x.kind, x.value, contact_ids[x.sender]
          FROM unnest(identity_senders, identity_channels, identity_scopes, identity_kinds, identity_values)
               AS x (sender, channel, scope, kind, value)
         WHERE x.sender = ANY (message_senders)
         ORDER BY x.scope, x.kind, x.value
        ON CONFLICT DO NOTHING;
        IF EXISTS (
            SELECT FROM unnest(identity_senders, identity_scopes, identity_kinds, identity_values)
                        AS x (sender, scope, kind, value)
             CROSS JOIN LATERAL (
                   SELECT c.contact_id
                     FROM contact_identities c
                    WHERE c.org_id = org AND c.scope = x.scope AND c.kind = x.kind AND c.value = x.value
                   OFFSET 0
                   ) i
             WHERE x.sender = ANY (made) AND i.contact_id <> contact_ids[x.sender]
        ) THEN
            RAISE EXCEPTION 'a contact was made by another transaction' USING ERRCODE = 'serialization_failure';
        END IF;
        FOR i IN 1 .. cardinality(sender_names) LOOP
            IF i = ANY (message_senders) AND i <> ALL (made) THEN
                UPDATE contacts c
                   SET phone = coalesce(c.phone, sender_phones[i]), handle = coalesce(c.handle, sender_handles[i]),
                       updated_at = now()
                 WHERE c.org_id = org AND c.id = contact_ids[i]
                   AND (
                       (c.phone IS NULL AND sender_phones[i] IS NOT NULL)
                       OR (c.handle IS NULL AND sender_handles[i] IS NOT NULL)
                   );
            END IF;
        END LOOP;
    END IF;

    -- A contact is called by an id only until a name is known.
    SELECT array_agg(CASE WHEN t.is_told THEN x.name ELSE c.name END ORDER BY x.n), array_agg(x.n) FILTER (WHERE t.is_told)
      INTO names, renamed
      FROM unnest(contact_ids, sender_names) WITH ORDINALITY AS x (id, name, n)
      LEFT JOIN LATERAL (
               SELECT k.name, is_nameless(org, k.id, k.name, k.phone, k.handle) AS is_nameless
                 FROM contacts k
                WHERE k.org_id = org AND k.id = x.id
               OFFSET 0
           ) c ON true
     -- Another id is no better a name.
     CROSS JOIN LATERAL (
           SELECT CASE
                      WHEN c.name IS NULL THEN true
                      WHEN c.name = x.name OR NOT c.is_nameless THEN false
                      ELSE NOT is_nameless(org, x.id, x.name, sender_phones[x.n::integer], sender_handles[x.n::integer])
                  END AS is_told
          OFFSET 0
           ) t;
    FOR one IN SELECT x.n FROM unnest(renamed) AS x (n) WHERE x.n = ANY (message_senders) LOOP
        UPDATE contacts c SET name = names[one], updated_at = now() WHERE c.org_id = org AND c.id = contact_ids[one];
    END LOOP;

    -- Their conversations, made or locked in key order: from here on nobody else finds or opens a ticket in them.
    message_talks := ARRAY(
        SELECT t.talk
          FROM (
                SELECT x.n, dense_rank() OVER (ORDER BY x.channel, contact_ids[x.sender]) AS talk
                  FROM unnest(message_channels, message_senders) WITH ORDINALITY AS x (channel, sender, n)
               ) t
         ORDER BY t.n
    );
    SELECT array_agg(w.channel ORDER BY w.talk), array_agg(w.contact ORDER BY w.talk), array_agg(w.count ORDER BY w.talk),
           array_agg(least(clock_timestamp(), to_timestamp(w.first / 1000000.0)) ORDER BY w.talk),
           array_agg(least(clock_timestamp(), to_timestamp(w.last / 1000000.0)) ORDER BY w.talk),
           array_agg(w.provider_at ORDER BY w.talk)
      INTO talk_channels, talk_contacts, talk_counts, talk_firsts, talk_lasts, talk_provider_times
      FROM (
            SELECT x.talk, x.channel, contact_ids[x.sender] AS contact, count(*) AS count,
                   min(x.accepted) AS first, max(x.accepted) AS last,
                   -- An edit opens no window.
                   max(coalesce(x.provider_at, to_timestamp(x.accepted / 1000000.0)))
                       FILTER (WHERE x.metadata IS DISTINCT FROM '{"isEditAlone":true}') AS provider_at
              FROM unnest(
                       message_talks, message_channels, message_senders, provider_times, receive_messages.accepted,
                       receive_messages.metadata
                   ) AS x (talk, channel, sender, provider_at, accepted, metadata)
             GROUP BY 1, 2, 3
           ) w;
    WITH locked AS (
        INSERT INTO conversations AS v (org_id, channel_id, contact_id, last_inbound_provider_at)
        SELECT org, w.channel, w.contact, w.provider_at
          FROM unnest(talk_channels, talk_contacts, talk_provider_times) WITH ORDINALITY AS w (channel, contact, provider_at, n)
         ORDER BY w.n
        ON CONFLICT (org_id, channel_id, contact_id) DO UPDATE
           SET last_inbound_provider_at = greatest(v.last_inbound_provider_at, excluded.last_inbound_provider_at)
        RETURNING v.channel_id, v.contact_id, v.ticket_id
    )
    SELECT array_agg(l.ticket_id ORDER BY l.channel_id, l.contact_id) INTO talk_tickets FROM locked l;

    -- Their tickets. The newest one takes the message unless it has been closed for too long. Its row isn't locked yet, because
    -- users come first: one that is closed this very moment is reopened below, as if it had been closed just before.
    SELECT make_interval(secs => 3600 * coalesce((o.settings ->> 'reopenWithinHours')::double precision, 24)) INTO reopen_within
      FROM organisations o WHERE o.id = org;
    talk_tickets := ARRAY(
        SELECT CASE WHEN t.status <> 'closed' OR t.closed_at > clock_timestamp() - reopen_within THEN t.id END
          FROM unnest(talk_tickets) WITH ORDINALITY AS x (ticket, n)
          LEFT JOIN LATERAL (
                   SELECT k.id, k.status, k.closed_at FROM tickets k WHERE k.org_id = org AND k.id = x.ticket OFFSET 0
               ) t ON true
         ORDER BY x.n
    );
    kept := ARRAY(SELECT x.n FROM unnest(talk_tickets) WITH ORDINALITY AS x (ticket, n) WHERE x.ticket IS NOT NULL);
    opened := ARRAY(
        SELECT x.n FROM unnest(talk_tickets, talk_firsts) WITH ORDINALITY AS x (ticket, first, n)
         WHERE x.ticket IS NULL
         ORDER BY x.first
    );
    IF cardinality(opened) > 0 THEN
        FOREACH talk IN ARRAY opened LOOP
            talk_tickets[talk] := uuid_v7();
        END LOOP;
        first_number := next_ticket_number(org, cardinality(opened));
        assignees := next_assignees(org, cardinality(opened));
        WITH created AS (
            INSERT INTO tickets
                   (org_id, id, number, channel_id, contact_id, assignee_id, unread_count, last_message_at, created_at)
            SELECT org, talk_tickets[o.talk], first_number + o.n - 1, talk_channels[o.talk], talk_contacts[o.talk],
                   assignees[o.n], talk_counts[o.talk], talk_lasts[o.talk], talk_firsts[o.talk]
              FROM unnest(opened) WITH ORDINALITY AS o (talk, n)
             ORDER BY o.n
            RETURNING id, channel_id, contact_id, assignee_id
        )
        INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
        SELECT org, 'ticket.created', c.id, c.id,
               jsonb_build_object('channelId', c.channel_id, 'contactId', c.contact_id, 'assigneeId', c.assignee_id)
          FROM created c;
        INSERT INTO conversations (org_id, channel_id, contact_id, ticket_id)
        SELECT org, talk_channels[o.talk], talk_contacts[o.talk], talk_tickets[o.talk] FROM unnest(opened) AS o (talk)
        ON CONFLICT (org_id, channel_id, contact_id) DO UPDATE SET ticket_id = excluded.ticket_id;
    END IF;

    -- What they quote, where it is known; planned anew as above.
    quoted := array_fill(NULL::uuid, ARRAY[cardinality(message_senders)]);
    IF EXISTS (SELECT FROM unnest(reply_tos) AS x (id) WHERE x.id IS NOT NULL) THEN
        EXECUTE $query$
            SELECT ARRAY(
                SELECT (
                           SELECT m.id FROM messages m
                            WHERE m.org_id = $1 AND m.channel_id = x.channel AND m.external_id = x.external_id
                       )
                  FROM unnest($2, $3) WITH ORDINALITY AS x (channel, external_id, n)
                 ORDER BY x.n
            )
            $query$
           INTO quoted USING org, message_channels, reply_tos;
    END IF;

    -- The messages themselves.
    WITH inserted AS (
        INSERT INTO messages
               (org_id, id, channel_id, contact_id, ticket_id, direction, author_type, author_id, author_name, text, attachments,
                metadata, status, external_id, reply_to, quotes, provider_at, accepted_at, created_at)
        SELECT org, uuid_v7(), x.channel, talk_contacts[x.talk], talk_tickets[x.talk], 'inbound', 'contact',
               talk_contacts[x.talk], names[x.sender], x.text, x.attachments::jsonb, x.metadata::jsonb, 'received', x.external_id,
               x.quoted, CASE WHEN x.quoted IS NULL THEN x.reply_to END, x.provider_at, x.accepted,
               least(clock_timestamp(), to_timestamp(x.accepted / 1000000.0))
          FROM unnest(
                   message_talks, message_senders, message_channels, external_ids, texts, receive_messages.attachments,
                   receive_messages.metadata, quoted, reply_tos, provider_times, receive_messages.accepted
               ) AS x (talk, sender, channel, external_id, text, attachments, metadata, quoted, reply_to, provider_at, accepted)
         ORDER BY x.accepted
        ON CONFLICT (org_id, channel_id, external_id) DO NOTHING
        RETURNING id, ticket_id
    )
    INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
    SELECT org, 'message.created', m.id, m.ticket_id, '{"direction": "inbound", "status": "received"}' FROM inserted m;
    GET DIAGNOSTICS stored = ROW_COUNT;
    IF stored < cardinality(message_senders) THEN
        RAISE EXCEPTION 'a message was stored by another transaction' USING ERRCODE = 'serialization_failure';
    END IF;

    -- Those that quote one of these, of this batch or from before; planned anew as above.
    IF EXISTS (SELECT FROM messages m WHERE m.org_id = org AND m.quotes IS NOT NULL) THEN
        EXECUTE $query$
            WITH tied AS (
                UPDATE messages m
                   SET reply_to = b.quoted, quotes = NULL
                  FROM (
                        SELECT w.id, q.id AS quoted
                          FROM unnest($2, $3) AS x (channel, external_id)
                         CROSS JOIN LATERAL (
                               SELECT k.id FROM messages k
                                WHERE k.org_id = $1 AND k.channel_id = x.channel AND k.quotes = x.external_id
                               OFFSET 0
                               ) w
                         CROSS JOIN LATERAL (
                               SELECT k.id FROM messages k
                                WHERE k.org_id = $1 AND k.channel_id = x.channel AND k.external_id = x.external_id
                               OFFSET 0
                               ) q
                       OFFSET 0
                       ) b
                 WHERE m.org_id = $1 AND m.id = b.id AND m.id <> b.quoted
                RETURNING m.id, m.ticket_id
            )
            INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
            SELECT $1, 'message.updated', t.id, t.ticket_id,
                   jsonb_build_object('ticketId', t.ticket_id, 'fields', '["replyTo"]'::jsonb)
              FROM tied t
            $query$
            USING org, message_channels, external_ids;
    END IF;

    -- The tickets that were there before.
    IF cardinality(kept) > 0 THEN
        EXECUTE $query$
            WITH changed AS (
                UPDATE tickets t
                   SET unread_count = t.unread_count + b.count,
                       last_message_at = greatest(t.last_message_at, b.last),
                       status = CASE WHEN b.status = 'closed' AND $6 = interval '0' THEN 'closed' ELSE 'open' END,
                       closed_at = CASE WHEN $6 = interval '0' THEN t.closed_at END,
                       updated_at = now()
                  FROM (
                        SELECT k.id, k.status, $4[x.talk] AS count, $5[x.talk] AS last
                          FROM unnest($2) AS x (talk)
                         CROSS JOIN LATERAL (
                               SELECT l.id, l.status FROM tickets l WHERE l.org_id = $1 AND l.id = $3[x.talk]
                                  FOR NO KEY UPDATE
                               ) k
                       OFFSET 0
                       ) b
                 WHERE t.org_id = $1 AND t.id = b.id
                RETURNING t.id, b.status AS status_then, t.status AS status_now
            )
            INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
            SELECT $1, 'ticket.updated', c.id, c.id,
                   CASE
                       WHEN c.status_then = c.status_now THEN '{"fields": ["lastMessageAt", "unreadCount"]}'::jsonb
                       ELSE jsonb_build_object(
                           'fields', '["status", "lastMessageAt", "unreadCount"]'::jsonb,
                           'status', jsonb_build_object('from', c.status_then, 'to', c.status_now)
                       )
                   END
              FROM changed c
            $query$
            USING org, kept, talk_tickets, talk_counts, talk_lasts, reopen_within;
    END IF;

    -- STOP and START: the newest by the provider's time holds, whatever order they are accepted or stored in.
    FOR who, is_out, at IN
        SELECT contact_ids[x.sender], x.opt_out, least(x.accepted, floor(extract(epoch FROM x.provider_at) * 1000000)::bigint)
          FROM unnest(message_senders, opt_outs, receive_messages.accepted, provider_times)
               AS x (sender, opt_out, accepted, provider_at)
         WHERE x.opt_out IS NOT NULL
         ORDER BY 1, 3, x.accepted
    LOOP
        UPDATE contacts c
           SET opted_out = is_out, opted_out_changed_at = at, updated_at = now()
         WHERE c.org_id = org AND c.id = who AND c.opted_out_changed_at <= at;
    END LOOP;
    RETURN stored;
END
$$;

GRANT EXECUTE ON FUNCTION
    covers(timestamptz, numeric, text, timestamptz), tie_quotes(uuid, uuid, uuid, text),
    is_nameless(uuid, uuid, text, text, text), name_authors()
    TO delightchat_app;
