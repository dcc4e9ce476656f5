-- A person's new number, whatever order it is told in: before or after the messages by the old one, before or after those by the
-- new one. Old numbers are kept until no message by them can come any more; by then they may be somebody else's.

-- The number that a contact had on that channel until `changed_at` by the provider's clock.
ALTER TABLE contact_identities ADD COLUMN changed_at timestamptz;
ALTER TABLE contact_identities DROP CONSTRAINT contact_identities_kind_check;
ALTER TABLE contact_identities
    ADD CONSTRAINT contact_identities_kind_check CHECK (kind IN ('phone', 'email', 'handle', 'external', 'former'));
ALTER TABLE contact_identities
    ADD CONSTRAINT contact_identities_changed_at_check CHECK ((kind = 'former') = (changed_at IS NOT NULL));
CREATE INDEX contact_identities_former ON contact_identities (org_id, changed_at) WHERE kind = 'former';

-- Any id that the contact has today which had this number at that moment; no row where it is nobody's or not theirs any more.
CREATE FUNCTION find_former(org uuid, channel uuid, number text, at timestamptz)
    RETURNS TABLE (channel_id uuid, kind text, value text)
    LANGUAGE sql STABLE
AS $$
    SELECT p.channel_id, p.kind, p.value
      FROM contact_identities f
     CROSS JOIN LATERAL (
           SELECT i.channel_id, i.kind, i.value
             FROM contact_identities i
            WHERE i.org_id = org AND i.contact_id = f.contact_id
              AND (i.kind = 'phone' OR (i.kind = 'external' AND i.channel_id = channel))
            ORDER BY i.kind DESC, i.created_at, i.value
            LIMIT 1
           ) p
     WHERE f.org_id = org AND f.scope = channel AND f.kind = 'former' AND f.value = number AND at <= f.changed_at
$$;

-- A person with the ids of today.
CREATE FUNCTION as_known(org uuid, channel uuid, person jsonb, at timestamptz) RETURNS jsonb
    LANGUAGE plpgsql STABLE
AS $$
DECLARE
    present record;
BEGIN
    IF person ->> 'phone' IS NULL THEN
        RETURN person;
    END IF;
    SELECT f.kind, f.value INTO present FROM find_former(org, channel, person ->> 'phone', at) f;
    IF NOT FOUND THEN
        RETURN person;
    END IF;
    RETURN (person - 'phone')
        || jsonb_build_object(CASE present.kind WHEN 'phone' THEN 'phone' ELSE 'externalId' END, present.value);
END
$$;

-- Has a contact go by new ids from that moment on. False where nobody is known by the old or the new ones yet.
CREATE FUNCTION change_identity(org uuid, channel uuid, person jsonb, successor jsonb, at timestamptz) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    old_number text := person ->> 'phone';
    successor_now jsonb := as_known(org, channel, successor, at);
    who uuid := find_person(org, channel, as_known(org, channel, person, at));
    heir uuid := find_person(org, channel, successor_now);
BEGIN
    IF who IS NULL AND heir IS NULL THEN
        RETURN false;
    END IF;
    IF who <> heir THEN
        -- Whoever had the new number before is somebody else, and whose it is now an admin must say.
        IF EXISTS (
            SELECT FROM contacts k WHERE k.org_id = org AND k.id = heir AND k.created_at < at
        ) THEN
            RETURN true;
        END IF;
        -- Known by a message that came first. The one that was there longer stays.
        PERFORM merge_contacts(org, greatest(who, heir), least(who, heir));
        who := least(who, heir);
    END IF;
    who := coalesce(who, heir);
    IF successor ->> 'phone' <> old_number THEN
        DELETE FROM contact_identities i
         WHERE i.org_id = org AND i.scope = '00000000-0000-0000-0000-000000000000' AND i.kind = 'phone'
           AND i.value = old_number AND i.contact_id = who;
        INSERT INTO contact_identities AS i (org_id, channel_id, kind, value, contact_id, changed_at)
        VALUES (org, channel, 'former', old_number, who, at)
        ON CONFLICT (org_id, scope, kind, value) DO UPDATE
           SET contact_id = excluded.contact_id, changed_at = excluded.changed_at
         WHERE i.changed_at < excluded.changed_at;
        UPDATE contacts k
           SET name = n.name, phone = n.phone, updated_at = now()
          FROM (
                SELECT CASE
                           WHEN c.name = c.phone OR EXISTS (
                               SELECT FROM contact_identities i
                                WHERE i.org_id = org AND i.contact_id = who AND i.kind = 'former' AND i.value = c.name
                           ) THEN coalesce(successor_now ->> 'phone', c.name)
                           ELSE c.name
                       END AS name,
                       coalesce(successor_now ->> 'phone', nullif(c.phone, old_number)) AS phone
                  FROM contacts c
                 WHERE c.org_id = org AND c.id = who
               ) n
         WHERE k.org_id = org AND k.id = who AND (k.name, k.phone) IS DISTINCT FROM (n.name, n.phone);
    END IF;
    -- Ids that are never given to somebody else stay; the old number doesn't.
    PERFORM name_person(org, channel, who, person - 'phone' - 'handle');
    PERFORM name_person(org, channel, who, successor_now);
    RETURN true;
END
$$;

-- As receive_messages, which it calls with everybody's ids of today.
CREATE FUNCTION take_messages(
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
    former record;
BEGIN
    FOR former IN
        SELECT DISTINCT ON (x.n) x.n, x.sender, p.channel_id, p.kind, p.value
          FROM unnest(identity_senders, identity_kinds, identity_values) WITH ORDINALITY AS x (sender, kind, value, n)
         CROSS JOIN LATERAL (
               SELECT f.scope, f.changed_at
                 FROM contact_identities f
                WHERE f.org_id = org AND f.scope = ANY (message_channels) AND f.kind = 'former' AND f.value = x.value
               OFFSET 0
               ) f
         CROSS JOIN LATERAL find_former(
                   org, f.scope, x.value,
                   (
                       SELECT max(coalesce(m.provider_at, to_timestamp(m.accepted / 1000000.0)))
                         FROM unnest(message_senders, message_channels, provider_times, take_messages.accepted)
                              AS m (sender, channel, provider_at, accepted)
                        WHERE m.sender = x.sender AND m.channel = f.scope
                   )
               ) p
         WHERE x.kind = 'phone'
         ORDER BY x.n, f.changed_at DESC
    LOOP
        identity_channels[former.n] := former.channel_id;
        identity_kinds[former.n] := former.kind;
        identity_values[former.n] := former.value;
        -- The old number is no name either.
        IF sender_names[former.sender] = sender_phones[former.sender] THEN
            sender_names[former.sender] := NULL;
        END IF;
        sender_phones[former.sender] := NULL;
    END LOOP;
    RETURN receive_messages(
        org, identity_senders, identity_channels, identity_kinds, identity_values, sender_names, sender_phones, sender_handles,
        message_senders, message_channels, external_ids, texts, take_messages.attachments, take_messages.metadata, reply_tos,
        provider_times, take_messages.accepted, opt_outs
    );
END
$$;

-- As before; besides, changed ids of people who are known by either or by both, what is about people by the ids that they had at
-- the time, and reactions of one moment.
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
    moment timestamptz;
    person jsonb;
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
        moment := coalesce(c.at, to_timestamp(c.accepted / 1000000.0));
        person := as_known(org, c.channel, c.person, moment);
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
            IF NOT change_identity(org, c.channel, c.person, c.successor, moment) THEN
                waiting := waiting || c.place;
            END IF;

        WHEN 'preference' THEN
            mark := floor(extract(epoch FROM coalesce(c.at, to_timestamp(c.accepted / 1000000.0))) * 1000000);
            who := find_or_make_person(org, c.channel, person);
            UPDATE contacts k
               SET opted_out = c.is_opt_out, opted_out_changed_at = mark, updated_at = now()
             WHERE k.org_id = org AND k.id = who AND k.opted_out_changed_at < mark;

        WHEN 'referral' THEN
            who := find_person(org, c.channel, person);
            IF who IS NULL THEN
                waiting := waiting || c.place;
            END IF;
            UPDATE contacts k
               SET referral = c.metadata, referral_at = coalesce(c.at, to_timestamp(c.accepted / 1000000.0)), updated_at = now()
             WHERE k.org_id = org AND k.id = who
               AND coalesce(k.referral_at, '-infinity') < coalesce(c.at, to_timestamp(c.accepted / 1000000.0));

        WHEN 'echo' THEN
            IF NOT record_echo(
                org, c.channel, c.external, c.ours, person, c.at, c.text, c.attachments, c.metadata, c.quoted, c.accepted,
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
                -- Of one moment the removal stands, since who thinks again gives the other one without taking the first back; of
                -- two reactions the same one, whichever comes first: no provider's ids tell more.
                WITH reacted AS (
                    INSERT INTO reactions AS r (org_id, message_id, by, emoji, reacted_at, removed_at)
                    VALUES (
                        org, target, 'contact', coalesce(c.emoji, '-'), c.at, CASE WHEN c.emoji IS NULL THEN now() END
                    )
                    ON CONFLICT (org_id, message_id, by) DO UPDATE
                       SET emoji = excluded.emoji, reacted_at = excluded.reacted_at, removed_at = excluded.removed_at
                     WHERE (coalesce(r.reacted_at, '-infinity'), r.removed_at IS NOT NULL, r.emoji COLLATE "C")
                         < (
                               coalesce(excluded.reacted_at, 'infinity'), excluded.removed_at IS NOT NULL,
                               excluded.emoji COLLATE "C"
                           )
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
            IF NOT reach_messages(org, c.channel, person, c.status, c.at, c.number, c.external) THEN
                waiting := waiting || c.place;
            END IF;
        END CASE;
    END LOOP;
    RETURN waiting;
END
$$;

-- What a campaign has of a contact goes with the contact alone: until now it went with any of the contact's ids, so that a new
-- number or e-mail address erased it.
DROP TRIGGER follow_contact_identity_end ON contact_identities;
CREATE OR REPLACE FUNCTION follow_contact_identity() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE campaign_recipients r
       SET contact_id = NEW.contact_id
     WHERE r.org_id = NEW.org_id AND r.contact_id = OLD.contact_id;
    RETURN NULL;
END
$$;
CREATE FUNCTION erase_recipients(org uuid, contact uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    campaign uuid;
    ended integer;
BEGIN
    FOR campaign, ended IN
        WITH erased AS (
            UPDATE campaign_recipients r
               SET name = NULL, phone = NULL, handle = NULL, variables = '{}', address = 'erased ' || r.id, error_message = NULL,
                   status = CASE WHEN r.status = 'pending' THEN 'failed' ELSE r.status END,
                   error_code = CASE WHEN r.status = 'pending' THEN 'contact_erased' ELSE r.error_code END,
                   next_attempt_at = NULL
              FROM (
                    SELECT o.id, o.status FROM campaign_recipients o
                     WHERE o.org_id = org AND o.contact_id = contact AND o.address NOT LIKE 'erased %'
                       FOR UPDATE
                   ) b
             WHERE r.org_id = org AND r.id = b.id
            RETURNING r.campaign_id, b.status
        )
        SELECT e.campaign_id, count(*) FROM erased e WHERE e.status = 'pending' GROUP BY 1 ORDER BY 1
    LOOP
        PERFORM count_campaign_sends(
            org, campaign, array_fill('failed'::text, ARRAY[ended]), array_fill('contact_erased'::text, ARRAY[ended]), 0
        );
    END LOOP;
END
$$;

-- As before; besides, what campaigns have of the contact.
CREATE OR REPLACE FUNCTION erase_contact(org uuid, contact uuid) RETURNS uuid[]
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
    PERFORM erase_recipients(org, contact);
    DELETE FROM contact_identities i WHERE i.org_id = org AND i.contact_id = contact;
    UPDATE contacts c
       SET gone_at = now(), updated_at = now(), name = NULL, phone = NULL, handle = NULL, email = NULL
     WHERE c.org_id = org AND c.id = contact;
    RETURN emptied;
END
$$;

GRANT EXECUTE ON FUNCTION
    find_former(uuid, uuid, text, timestamptz), as_known(uuid, uuid, jsonb, timestamptz),
    change_identity(uuid, uuid, jsonb, jsonb, timestamptz), erase_recipients(uuid, uuid),
    take_messages(
        uuid, integer[], uuid[], text[], text[], text[], text[], text[], integer[], uuid[], text[], text[], text[], text[],
        text[], timestamptz[], bigint[], boolean[]
    )
    TO delightchat_app;
