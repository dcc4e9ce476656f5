-- Receipts up to a moment or an id ("all until then is read") may overtake what they are about: they are kept, one row for each
-- status that a person's messages reached, and hold for messages that are recorded later.
CREATE TABLE receipt_marks (
    org_id uuid NOT NULL,
    channel_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    status text NOT NULL CHECK (status IN ('delivered', 'read')),
    -- Messages that were tried until then, by the provider's clock.
    until timestamptz,
    -- Messages whose numeric id isn't higher.
    number numeric,
    -- Messages that were accepted until then: the accepted_at of the one that the receipt named.
    accepted_at bigint,
    -- When it was reached, as the provider says.
    at timestamptz,
    PRIMARY KEY (org_id, channel_id, contact_id, status),
    FOREIGN KEY (org_id, channel_id) REFERENCES channels (org_id, id),
    FOREIGN KEY (org_id, contact_id) REFERENCES contacts (org_id, id) ON DELETE CASCADE
) WITH (fillfactor = 50);
SELECT protect_table('receipt_marks', 'SELECT, INSERT, UPDATE, DELETE');

-- Whether a receipt covers a message.
CREATE FUNCTION covers(
    until timestamptz, number numeric, mark bigint, external text, tried timestamptz, accepted bigint
) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(tried <= until, false)
        OR coalesce(CASE WHEN external ~ '^[0-9]{1,30}$' THEN external::numeric <= number END, false)
        OR coalesce(accepted <= mark, false)
$$;

-- Keeps a receipt and moves what it covers forward. False where the person or the message that it names isn't known yet.
CREATE FUNCTION reach_messages(
    org uuid, channel uuid, person jsonb, reached text, at timestamptz, up_to bigint, external text
) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    who uuid := find_person(org, channel, person);
    mark bigint;
    target uuid;
BEGIN
    IF who IS NULL THEN
        RETURN false;
    END IF;
    IF up_to IS NULL AND external IS NOT NULL THEN
        SELECT m.accepted_at INTO mark FROM messages m
         WHERE m.org_id = org AND m.channel_id = channel AND m.external_id = external AND m.contact_id = who;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
    END IF;
    -- Also the lock against a message that is recorded at this moment.
    INSERT INTO receipt_marks AS r (org_id, channel_id, contact_id, status, until, number, accepted_at, at)
    VALUES (
        org, channel, who, reached, CASE WHEN up_to IS NULL AND external IS NULL THEN reach_messages.at END, up_to, mark,
        reach_messages.at
    )
    ON CONFLICT (org_id, channel_id, contact_id, status) DO UPDATE
       SET until = greatest(r.until, excluded.until), number = greatest(r.number, excluded.number),
           accepted_at = greatest(r.accepted_at, excluded.accepted_at), at = greatest(r.at, excluded.at);
    FOR target IN
        SELECT m.id
          FROM messages m
         WHERE m.org_id = org AND m.channel_id = channel AND m.contact_id = who
           AND m.direction = 'outbound' AND m.status IN ('sent', 'delivered')
           AND covers(
                   CASE WHEN up_to IS NULL AND external IS NULL THEN reach_messages.at END, up_to, mark, m.external_id,
                   -- By when it was tried: the moment of its answer is ours and may lie behind the provider's.
                   coalesce(m.attempted_at, m.sent_at, m.created_at), m.accepted_at
               )
         ORDER BY m.external_id
    LOOP
        PERFORM advance_message(org, target, reached, reach_messages.at, NULL, NULL);
    END LOOP;
    RETURN true;
END
$$;

-- As before; besides, what earlier receipts cover.
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
        SELECT r.status, r.at
          FROM receipt_marks r
         WHERE r.org_id = NEW.org_id AND r.channel_id = NEW.channel_id AND r.contact_id = NEW.contact_id
           AND covers(
                   r.until, r.number, r.accepted_at, NEW.external_id,
                   coalesce(NEW.attempted_at, NEW.sent_at, NEW.created_at), NEW.accepted_at
               )
         ORDER BY r.status
           FOR SHARE
    LOOP
        PERFORM advance_message(NEW.org_id, NEW.id, early.status, early.at, NULL, NULL);
    END LOOP;
    RETURN NULL;
END
$$;

-- As before, but for receipts up to a moment or an id.
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
            IF NOT reach_messages(org, c.channel, c.person, c.status, c.at, c.number, c.external) THEN
                waiting := waiting || c.place;
            END IF;
        END CASE;
    END LOOP;
    RETURN waiting;
END
$$;

GRANT EXECUTE ON FUNCTION
    covers(timestamptz, numeric, bigint, text, timestamptz, bigint),
    reach_messages(uuid, uuid, jsonb, text, timestamptz, bigint, text)
    TO delightchat_app;
