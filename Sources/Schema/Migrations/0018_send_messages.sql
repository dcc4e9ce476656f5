-- Sending to real providers: messages that take several calls, attempts whose answer was lost, channels that are told to slow
-- down, access tokens that are exchanged.

-- Nothing is sent on the channel before then: the provider has said so.
ALTER TABLE channels ADD COLUMN paced_until timestamptz;
-- When the access token was last exchanged for a new one.
ALTER TABLE channels ADD COLUMN refreshed_at timestamptz;
SELECT open_to_directory('channels', 'SELECT (paced_until)');

-- How many calls of those that the message takes were accepted.
ALTER TABLE messages ADD COLUMN parts_sent integer NOT NULL DEFAULT 0;
-- Until when the provider's webhooks may tell what became of an attempt that has no answer.
ALTER TABLE messages ADD COLUMN evidence_until timestamptz;

-- Of which message of ours an early status is, where the provider said so: a campaign's message becomes a row only when its send
-- is recorded.
ALTER TABLE early_statuses ADD COLUMN message_id uuid;
CREATE INDEX early_statuses_by_message ON early_statuses (org_id, message_id) WHERE message_id IS NOT NULL;

-- The provider's ids of all parts but the last, whose id is the message's.
CREATE TABLE message_parts (
    org_id uuid NOT NULL,
    message_id uuid NOT NULL,
    part integer NOT NULL CHECK (part >= 1),
    channel_id uuid NOT NULL,
    external_id text NOT NULL CHECK (external_id <> '' AND octet_length(external_id) <= 1024),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, message_id, part),
    UNIQUE (org_id, channel_id, external_id),
    FOREIGN KEY (org_id, message_id) REFERENCES messages (org_id, id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, channel_id) REFERENCES channels (org_id, id)
);
SELECT protect_table('message_parts', 'SELECT, INSERT, UPDATE, DELETE');

-- Whose provider's id was erased keeps none of its parts' either.
CREATE FUNCTION erase_message_parts() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    DELETE FROM message_parts p WHERE p.org_id = NEW.org_id AND p.message_id = NEW.id;
    RETURN NULL;
END
$$;
GRANT EXECUTE ON FUNCTION erase_message_parts() TO delightchat_app;
CREATE TRIGGER erase_message_parts AFTER UPDATE OF external_id ON messages
    FOR EACH ROW WHEN (NEW.external_id IS NULL AND OLD.external_id IS NOT NULL)
    EXECUTE FUNCTION erase_message_parts();

-- Takes or prolongs the lease on a ticket for `holder` and begins the next attempt: the attempt is recorded before the caller
-- sends. `state` tells what to do:
--   send        the message that comes along, behind its first `parts_sent` parts
--   unanswered  of the message that comes along an attempt began and no answer was recorded: decide about it. `has_waited` where
--               the provider's webhooks had their time to tell. No attempt is begun
--   later       nothing before `due_at`; the lease is given back
--   busy        somebody else is sending until `due_at`
--   held        the channel may not send at present and somebody has to act; the messages stay queued, the lease is given back
--   idle        nothing is queued, or there is no such ticket; the lease is given back
-- What is queued on a channel that is deleted or disabled becomes failed with `channel_gone`.
-- A message that is committed while somebody else sends is never overlooked: its job finds the lease taken only while the
-- holder has yet to look again.
DROP FUNCTION claim_delivery(uuid, uuid, uuid, interval);
CREATE FUNCTION claim_delivery(org uuid, ticket uuid, holder uuid, lease interval)
    RETURNS TABLE (
        state text, due_at timestamptz, message_id uuid, attempts integer, first_attempted_at timestamptz,
        text text, attachments jsonb, template jsonb, author_type text, reply_to text, parts_sent integer, attempted_at timestamptz,
        has_waited boolean, answered_id text, answered_metadata jsonb,
        channel_id uuid, channel_type text, settings jsonb, credentials bytea,
        phone text, handle text, external_user text, last_inbound_provider_at timestamptz
    )
    LANGUAGE plpgsql VOLATILE
AS $$
#variable_conflict use_column
DECLARE
    head record;
    is_open boolean;
BEGIN
    INSERT INTO delivery_leases AS l (org_id, ticket_id, token, expires_at)
    SELECT t.org_id, t.id, holder, clock_timestamp() + lease FROM tickets t WHERE t.org_id = org AND t.id = ticket
    ON CONFLICT (org_id, ticket_id) DO UPDATE
       SET token = excluded.token, expires_at = excluded.expires_at
     WHERE l.token = excluded.token OR l.expires_at < clock_timestamp();
    IF NOT FOUND THEN
        SELECT l.expires_at INTO due_at FROM delivery_leases l WHERE l.org_id = org AND l.ticket_id = ticket;
        state := CASE WHEN FOUND THEN 'busy' ELSE 'idle' END;
        RETURN NEXT;
        RETURN;
    END IF;

    SELECT m.id, m.attempts, m.next_attempt_at, m.attempted_at, m.first_attempted_at, m.evidence_until, m.parts_sent, m.contact_id,
           m.text, m.attachments, m.template, m.author_type,
           q.external_id AS reply_to,
           c.id AS channel_id, c.type, c.status, c.settings, c.credentials, c.deleted_at, c.paced_until,
           a.external_id AS answered_id, a.metadata AS answered_metadata,
           k.phone, k.handle, v.last_inbound_provider_at,
           (SELECT i.value FROM contact_identities i
             WHERE i.org_id = org AND i.contact_id = m.contact_id AND i.scope = m.channel_id AND i.kind = 'external'
             ORDER BY i.created_at DESC
             LIMIT 1) AS external_user
      INTO head
      FROM messages m
      JOIN channels c ON c.org_id = m.org_id AND c.id = m.channel_id
      JOIN contacts k ON k.org_id = m.org_id AND k.id = m.contact_id
      JOIN conversations v ON v.org_id = m.org_id AND v.channel_id = m.channel_id AND v.contact_id = m.contact_id
      LEFT JOIN messages q ON q.org_id = m.org_id AND q.id = m.reply_to
      LEFT JOIN LATERAL (
            SELECT x.external_id, x.metadata
              FROM messages x
             WHERE c.type = 'linkedin' AND x.org_id = org AND x.ticket_id = ticket AND x.direction = 'inbound'
               AND x.external_id IS NOT NULL
             ORDER BY x.id = m.reply_to DESC NULLS LAST, x.accepted_at DESC
             LIMIT 1
           ) a ON true
     WHERE m.org_id = org AND m.ticket_id = ticket AND m.status = 'queued'
     ORDER BY m.accepted_at, m.id
     LIMIT 1;

    is_open := FOUND AND head.attempts > 0 AND head.next_attempt_at IS NULL;
    state := CASE
                 WHEN NOT FOUND THEN 'idle'
                 WHEN head.deleted_at IS NOT NULL OR head.status = 'disabled' THEN 'gone'
                 WHEN is_open AND head.evidence_until > clock_timestamp() THEN 'later'
                 WHEN is_open THEN 'unanswered'
                 WHEN head.status = 'error' THEN 'held'
                 WHEN greatest(head.next_attempt_at, head.paced_until) > clock_timestamp() THEN 'later'
                 ELSE 'send'
             END;
    IF state = 'gone' THEN
        WITH failed AS (
            UPDATE messages m
               SET status = 'failed', error_code = 'channel_gone', error_message = 'The channel was deleted or disabled.',
                   next_attempt_at = NULL
             WHERE m.org_id = org AND m.ticket_id = ticket AND m.status = 'queued'
            RETURNING m.id
        )
        INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
        SELECT org, 'message.updated', f.id, ticket,
               jsonb_build_object('ticketId', ticket, 'status', 'failed', 'error', 'channel_gone')
          FROM failed f;
        state := 'idle';
    END IF;
    IF state NOT IN ('send', 'unanswered') THEN
        due_at := CASE WHEN state <> 'later' THEN NULL WHEN is_open THEN head.evidence_until
                       ELSE greatest(head.next_attempt_at, head.paced_until) END;
        DELETE FROM delivery_leases l WHERE l.org_id = org AND l.ticket_id = ticket AND l.token = holder;
        RETURN NEXT;
        RETURN;
    END IF;

    IF state = 'send' THEN
        UPDATE messages m
           SET attempts = m.attempts + 1, attempted_at = clock_timestamp(), next_attempt_at = NULL, evidence_until = NULL,
               first_attempted_at = coalesce(m.first_attempted_at, clock_timestamp())
         WHERE m.org_id = org AND m.id = head.id
        RETURNING m.attempts, m.first_attempted_at, m.attempted_at INTO attempts, first_attempted_at, attempted_at;
    ELSE
        attempts := head.attempts;
        first_attempted_at := head.first_attempted_at;
        attempted_at := head.attempted_at;
    END IF;
    parts_sent := head.parts_sent;
    has_waited := head.evidence_until IS NOT NULL;
    answered_id := head.answered_id;
    answered_metadata := head.answered_metadata;
    message_id := head.id;
    text := head.text;
    attachments := head.attachments;
    template := head.template;
    author_type := head.author_type;
    reply_to := head.reply_to;
    channel_id := head.channel_id;
    channel_type := head.type;
    settings := head.settings;
    credentials := head.credentials;
    phone := head.phone;
    handle := head.handle;
    external_user := head.external_user;
    last_inbound_provider_at := head.last_inbound_provider_at;
    RETURN NEXT;
END
$$;
GRANT EXECUTE ON FUNCTION claim_delivery(uuid, uuid, uuid, interval) TO delightchat_app;

-- As advance_message; what failed because nobody knew its outcome has one now.
CREATE FUNCTION confirm_message(org uuid, message uuid, new_status text, at timestamptz, code text, reason text) RETURNS void
    LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    IF new_status = 'sent' THEN
        UPDATE messages m SET status = 'queued', error_code = NULL, error_message = NULL
         WHERE m.org_id = org AND m.id = message AND m.status = 'failed' AND m.error_code = 'outcome_unknown';
    END IF;
    PERFORM advance_message(org, message, new_status, at, code, reason);
END
$$;

-- Records that the provider has one part of a message: the next one's turn begins, or with the last one the message is sent.
-- False where the channel has no such message.
CREATE FUNCTION settle_part(
    org uuid, channel uuid, message uuid, part integer, parts integer, external text, at timestamptz
) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    PERFORM FROM messages m
      WHERE m.org_id = org AND m.id = message AND m.channel_id = channel AND m.direction = 'outbound'
        FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF part < parts THEN
        INSERT INTO message_parts (org_id, message_id, part, channel_id, external_id)
        VALUES (org, message, part, channel, external)
        ON CONFLICT DO NOTHING;
        UPDATE messages m
           SET parts_sent = part, attempts = 0, first_attempted_at = NULL, next_attempt_at = clock_timestamp(), evidence_until = NULL
         WHERE m.org_id = org AND m.id = message AND m.status = 'queued' AND m.parts_sent = part - 1;
    ELSE
        UPDATE messages m SET external_id = external, parts_sent = part
         WHERE m.org_id = org AND m.id = message AND m.external_id IS NULL;
        PERFORM confirm_message(org, message, 'sent', at, NULL, NULL);
    END IF;
    RETURN true;
END
$$;

CREATE FUNCTION record_echo(
    org uuid, channel uuid, external text, ours uuid, person jsonb, at timestamptz, content text, files jsonb, extra jsonb,
    quoted text, accepted bigint, is_patient boolean, part integer, parts integer
) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    contact uuid;
    ticket uuid;
    message uuid;
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

-- As before; besides, evidence of single parts, and failures that halt a campaign.
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
            UPDATE contacts k SET referral = c.metadata, updated_at = now()
             WHERE k.org_id = org AND k.id = find_person(org, c.channel, c.person)
               AND k.referral IS DISTINCT FROM c.metadata;

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
                INSERT INTO early_statuses
                       (org_id, channel_id, external_id, status, provider_at, error_code, error_message, message_id)
                VALUES (org, c.channel, c.external, c.status, c.at, c.code, c.reason, c.ours)
                ON CONFLICT DO NOTHING;
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
DROP FUNCTION record_echo(uuid, uuid, text, uuid, jsonb, timestamptz, text, jsonb, jsonb, text, bigint, boolean);

-- What came before the sends of a campaign's messages were recorded: in their transaction, after their recipients were counted.
CREATE FUNCTION apply_early_campaign_statuses(org uuid, channel uuid, externals text[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    external text;
    early record;
BEGIN
    FOR external IN SELECT x.id FROM unnest(externals) AS x (id) WHERE x.id IS NOT NULL ORDER BY 1
    LOOP
        PERFORM lock_external_id(org, channel, external);
        FOR early IN
            DELETE FROM early_statuses e WHERE e.org_id = org AND e.channel_id = channel AND e.external_id = external
            RETURNING e.status, e.provider_at, e.error_code, e.error_message
        LOOP
            PERFORM advance_message(org, m.id, early.status, early.provider_at, early.error_code, early.error_message)
               FROM messages m
              WHERE m.org_id = org AND m.channel_id = channel AND m.external_id = external;
        END LOOP;
    END LOOP;
END
$$;

GRANT EXECUTE ON FUNCTION
    confirm_message(uuid, uuid, text, timestamptz, text, text),
    settle_part(uuid, uuid, uuid, integer, integer, text, timestamptz),
    record_echo(uuid, uuid, text, uuid, jsonb, timestamptz, text, jsonb, jsonb, text, bigint, boolean, integer, integer),
    apply_early_campaign_statuses(uuid, uuid, text[])
TO delightchat_app;

-- As before, without the channels that are told to wait.
CREATE OR REPLACE FUNCTION find_waiting_tickets(older_than interval, max integer DEFAULT 1000)
    RETURNS TABLE (org_id uuid, ticket_id uuid)
    LANGUAGE sql STABLE
AS $$
    SELECT w.org_id, w.ticket_id
      FROM (
            SELECT m.org_id, m.ticket_id, m.channel_id, min(coalesce(m.next_attempt_at, m.created_at)) AS since
              FROM messages m
             WHERE m.status = 'queued' AND m.ticket_id IS NOT NULL
             GROUP BY m.org_id, m.ticket_id, m.channel_id
           ) w
      JOIN channels c ON c.org_id = w.org_id AND c.id = w.channel_id AND c.status = 'active' AND c.deleted_at IS NULL
       AND (c.paced_until IS NULL OR c.paced_until <= now())
     WHERE w.since < now() - older_than
       AND NOT EXISTS (
               SELECT FROM delivery_leases l
                WHERE l.org_id = w.org_id AND l.ticket_id = w.ticket_id AND l.expires_at >= now()
           )
     ORDER BY w.since
     LIMIT max
$$;
SELECT hand_to_directory('find_waiting_tickets(interval, integer)');
