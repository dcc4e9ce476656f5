-- What providers tell of messages and people beside the messages themselves: receipts, reactions, edits, what was taken back,
-- what our side wrote elsewhere, changed ids. All of it comes in any order, late and several times; whatever the order, the
-- same rows come of it.

-- A reaction that was taken back stays as a row that isn't shown, so that an older one that comes later doesn't return.
ALTER TABLE reactions ADD COLUMN reacted_at timestamptz;
ALTER TABLE reactions ADD COLUMN removed_at timestamptz;
-- The link or the advertisement by which the contact came last.
ALTER TABLE contacts ADD COLUMN referral jsonb CHECK (jsonb_typeof(referral) = 'object');
-- What a receipt up to a moment or an id is about.
CREATE INDEX messages_under_way ON messages (org_id, channel_id, contact_id, accepted_at)
    WHERE direction = 'outbound' AND status IN ('sent', 'delivered');

-- How far a status is: it only rises. A failure that was reported yields to the proof that the message arrived.
CREATE FUNCTION status_rank(status text) RETURNS integer
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN array_position(ARRAY['queued', 'sent', 'failed', 'delivered', 'read'], status);

-- Moves one outbound message forward, or does nothing. Times that were not told are those of the next status.
CREATE FUNCTION advance_message(org uuid, message uuid, new_status text, at timestamptz, code text, reason text) RETURNS void
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
      FROM advanced a WHERE a.ticket_id IS NOT NULL
$$;

-- One at a time for one of the provider's ids: who records a send and who keeps its early status see each other.
CREATE FUNCTION lock_external_id(org uuid, channel uuid, external text) RETURNS void
    LANGUAGE sql VOLATILE
AS $$
    SELECT pg_advisory_xact_lock(hashtextextended(org::text || channel::text || external, 0))
$$;

CREATE FUNCTION apply_early_statuses() RETURNS trigger
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
    RETURN NULL;
END
$$;
CREATE TRIGGER apply_early_statuses AFTER UPDATE OF external_id ON messages
    FOR EACH ROW WHEN (NEW.external_id IS NOT NULL AND OLD.external_id IS DISTINCT FROM NEW.external_id)
    EXECUTE FUNCTION apply_early_statuses();

-- The contact whom one of a person's ids names: `{externalId, phone, handle}`, looked up in this order.
CREATE FUNCTION find_person(org uuid, channel uuid, person jsonb) RETURNS uuid
    LANGUAGE plpgsql STABLE
AS $$
DECLARE
    found_id uuid;
BEGIN
    SELECT i.contact_id INTO found_id FROM contact_identities i
     WHERE i.org_id = org AND i.scope = channel AND i.kind = 'external' AND i.value = person ->> 'externalId';
    IF found_id IS NULL THEN
        SELECT i.contact_id INTO found_id FROM contact_identities i
         WHERE i.org_id = org AND i.scope = '00000000-0000-0000-0000-000000000000' AND i.kind = 'phone'
           AND i.value = person ->> 'phone';
    END IF;
    IF found_id IS NULL THEN
        SELECT i.contact_id INTO found_id FROM contact_identities i
         WHERE i.org_id = org AND i.scope = channel AND i.kind = 'handle' AND i.value = fold(person ->> 'handle');
    END IF;
    RETURN found_id;
END
$$;

-- Makes those of a person's ids the contact's that nobody has yet.
CREATE FUNCTION name_person(org uuid, channel uuid, contact uuid, person jsonb) RETURNS void
    LANGUAGE sql VOLATILE
AS $$
    INSERT INTO contact_identities (org_id, channel_id, kind, value, contact_id)
    SELECT org, x.channel, x.kind, x.value, contact
      FROM (
            VALUES (channel, 'external', person ->> 'externalId'), (NULL, 'phone', person ->> 'phone'),
                   (channel, 'handle', fold(person ->> 'handle'))
           ) AS x (channel, kind, value)
     WHERE x.value IS NOT NULL
     ORDER BY x.kind
    ON CONFLICT DO NOTHING
$$;

-- As find_person, or a new contact with these ids. Raises 40001 when another transaction made one of them at the same time.
CREATE FUNCTION find_or_make_person(org uuid, channel uuid, person jsonb) RETURNS uuid
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
    END IF;
    RETURN found_id;
END
$$;

-- Writes a message of our side into its conversation, without reopening its ticket or opening a window. False when one of our
-- own sends is under way there: this may be that message, so its answer is waited for while `is_patient`.
CREATE FUNCTION record_echo(
    org uuid, channel uuid, external text, ours uuid, person jsonb, at timestamptz, content text, files jsonb, extra jsonb,
    quoted text, accepted bigint, is_patient boolean
) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    contact uuid;
    ticket uuid;
    message uuid;
    written timestamptz := least(clock_timestamp(), to_timestamp(accepted / 1000000.0));
BEGIN
    PERFORM FROM messages m WHERE m.org_id = org AND m.channel_id = channel AND m.external_id = external;
    IF FOUND THEN
        RETURN true;
    END IF;
    IF ours IS NOT NULL THEN
        UPDATE messages m SET external_id = external
         WHERE m.org_id = org AND m.id = ours AND m.channel_id = channel AND m.direction = 'outbound' AND m.external_id IS NULL
        RETURNING m.id INTO message;
        IF FOUND THEN
            PERFORM advance_message(org, message, 'sent', at, NULL, NULL);
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
    INSERT INTO messages
           (org_id, channel_id, contact_id, ticket_id, direction, author_type, text, attachments, metadata, status, external_id,
            reply_to, provider_at, accepted_at, created_at, sent_at)
    SELECT org, channel, contact, ticket, 'outbound', 'system', content, files, extra, 'sent', external,
           (SELECT q.id FROM messages q WHERE q.org_id = org AND q.channel_id = channel AND q.external_id = quoted),
           at, accepted, written, coalesce(at, written)
    ON CONFLICT (org_id, channel_id, external_id) DO NOTHING
    RETURNING id INTO message;
    IF FOUND THEN
        INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
        VALUES (org, 'message.created', message, ticket, '{"direction": "outbound", "status": "sent"}');
    END IF;
    RETURN true;
END
$$;

-- Applies changes of one organisation, each an object:
--   {kind, channelId, externalId?, messageId?, person?, successor?, at?, status?, code?, reason?, number?, emoji?, isOptOut?,
--    text?, attachments?, replyTo?, metadata?, acceptedAt, isPatient}
-- Returns the places, from 1, of those that have to wait for the message that they are about.
--
-- People come first and messages last, by id: whoever changes several of them takes locks in one order.
CREATE FUNCTION apply_changes(org uuid, changes jsonb) RETURNS integer[]
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c record;
    waiting integer[] := '{}';
    who uuid;
    target uuid;
    ticket uuid;
    mark bigint;
BEGIN
    FOR c IN
        SELECT x.place::integer AS place, x.value ->> 'kind' AS kind, (x.value ->> 'channelId')::uuid AS channel,
               x.value ->> 'externalId' AS external, (x.value ->> 'messageId')::uuid AS ours, x.value -> 'person' AS person,
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
            UPDATE contacts k SET referral = c.metadata, updated_at = now()
             WHERE k.org_id = org AND k.id = find_person(org, c.channel, c.person)
               AND k.referral IS DISTINCT FROM c.metadata;

        WHEN 'echo' THEN
            IF NOT record_echo(
                org, c.channel, c.external, c.ours, c.person, c.at, c.text, c.attachments, c.metadata, c.quoted, c.accepted,
                c.is_patient
            ) THEN
                waiting := waiting || c.place;
            END IF;

        WHEN 'edit', 'unsend', 'reaction' THEN
            SELECT m.id, m.ticket_id INTO target, ticket
              FROM messages m
             WHERE m.org_id = org AND m.channel_id = c.channel AND m.external_id = c.external
               FOR NO KEY UPDATE;
            IF NOT FOUND THEN
                waiting := waiting || c.place;
            ELSIF c.kind = 'edit' THEN
                WITH edited AS (
                    UPDATE messages m SET text = c.text, edit_number = c.number
                     WHERE m.org_id = org AND m.id = target AND m.deleted_at IS NULL AND coalesce(m.edit_number, -1) < c.number
                    RETURNING m.id
                )
                INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
                SELECT org, 'message.updated', e.id, ticket, jsonb_build_object('ticketId', ticket, 'fields', '["text"]'::jsonb)
                  FROM edited e;
            ELSIF c.kind = 'unsend' THEN
                WITH erased AS (
                    UPDATE messages m
                       SET text = '', attachments = '[]', metadata = NULL, deleted_at = coalesce(c.at, now())
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
            SELECT m.id INTO target FROM messages m
             WHERE m.org_id = org AND m.channel_id = c.channel AND m.external_id = c.external;
            IF target IS NULL AND c.ours IS NOT NULL THEN
                UPDATE messages m SET external_id = c.external
                 WHERE m.org_id = org AND m.id = c.ours AND m.channel_id = c.channel AND m.direction = 'outbound'
                   AND m.external_id IS NULL
                RETURNING m.id INTO target;
            END IF;
            IF target IS NULL THEN
                PERFORM lock_external_id(org, c.channel, c.external);
                SELECT m.id INTO target FROM messages m
                 WHERE m.org_id = org AND m.channel_id = c.channel AND m.external_id = c.external;
            END IF;
            IF target IS NULL THEN
                INSERT INTO early_statuses
                       (org_id, channel_id, external_id, status, provider_at, error_code, error_message)
                VALUES (org, c.channel, c.external, c.status, c.at, c.code, c.reason)
                ON CONFLICT DO NOTHING;
            ELSE
                PERFORM advance_message(org, target, c.status, c.at, c.code, c.reason);
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
            who := find_person(org, c.channel, c.person);
            FOR target IN
                SELECT m.id
                  FROM messages m
                 WHERE m.org_id = org AND m.channel_id = c.channel AND m.contact_id = who
                   AND m.direction = 'outbound' AND m.status IN ('sent', 'delivered')
                   AND CASE
                           WHEN c.number IS NOT NULL THEN
                               CASE WHEN m.external_id ~ '^[0-9]{1,30}$' THEN m.external_id::numeric <= c.number END
                           WHEN c.external IS NOT NULL THEN
                               m.accepted_at <= (
                                   SELECT r.accepted_at FROM messages r
                                    WHERE r.org_id = org AND r.channel_id = c.channel AND r.external_id = c.external
                                      AND r.contact_id = who
                               )
                           -- By when it was tried: the moment of its answer is ours and may lie behind the provider's.
                           ELSE coalesce(m.attempted_at, m.sent_at, m.created_at) <= c.at
                       END
                 ORDER BY m.external_id
            LOOP
                PERFORM advance_message(org, target, c.status, c.at, NULL, NULL);
            END LOOP;
        END CASE;
    END LOOP;
    RETURN waiting;
END
$$;

GRANT EXECUTE ON FUNCTION
    status_rank(text), advance_message(uuid, uuid, text, timestamptz, text, text), lock_external_id(uuid, uuid, text),
    find_person(uuid, uuid, jsonb), name_person(uuid, uuid, uuid, jsonb), find_or_make_person(uuid, uuid, jsonb),
    record_echo(uuid, uuid, text, uuid, jsonb, timestamptz, text, jsonb, jsonb, text, bigint, boolean),
    apply_changes(uuid, jsonb), apply_early_statuses()
TO delightchat_app;
