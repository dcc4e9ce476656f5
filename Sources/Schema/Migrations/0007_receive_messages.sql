-- Receiving: a batch of one organisation's messages in one call, so that a thousand of them cost a handful of statements.
--
-- Whoever changes several of these takes locks in this order: contacts and identities, conversations (by channel, then
-- contact), the ticket counter, users, tickets, messages.

-- Whose turn it is for `count` tickets that open unassigned, one after another; NULLs where the organisation assigns by hand
-- or has nobody. Call it after next_ticket_number, whose lock makes this one at a time within an organisation: the statement
-- that chooses then sees who was chosen before. A member who is being deactivated meanwhile is waited for and left out.
CREATE FUNCTION next_assignees(org uuid, count integer) RETURNS uuid[]
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    waiting uuid[];
    seats integer;
    start timestamptz;
BEGIN
    IF NOT EXISTS (SELECT FROM organisations o WHERE o.id = org AND o.settings ->> 'assignment' = 'round_robin') THEN
        RETURN array_fill(NULL::uuid, ARRAY[count]);
    END IF;
    waiting := ARRAY(
        SELECT u.id
          FROM users u
         WHERE u.org_id = org AND u.status = 'active'
           AND u.role = CASE
                   WHEN EXISTS (SELECT FROM users a WHERE a.org_id = org AND a.status = 'active' AND a.role = 'agent') THEN 'agent'
                   ELSE 'admin'
               END
         ORDER BY u.last_assigned_at NULLS FIRST, u.created_at, u.id
         LIMIT count
           FOR NO KEY UPDATE
    );
    seats := cardinality(waiting);
    IF seats = 0 THEN
        RETURN array_fill(NULL::uuid, ARRAY[count]);
    END IF;
    SELECT greatest(clock_timestamp(), max(u.last_assigned_at) + interval '1 microsecond') INTO start
      FROM users u WHERE u.org_id = org;
    -- Seat j gets the tickets j, j + seats, j + 2 seats …; the last of them decides how long it has waited from then on.
    UPDATE users u
       SET last_assigned_at = start + interval '1 microsecond' * (w.seat - 1 + seats * ((count - w.seat) / seats))
      FROM unnest(waiting) WITH ORDINALITY AS w (id, seat)
     WHERE u.org_id = org AND u.id = w.id;
    RETURN ARRAY(SELECT waiting[1 + turn % seats] FROM generate_series(0, count - 1) AS turn);
END
$$;
GRANT EXECUTE ON FUNCTION next_assignees(uuid, integer) TO delightchat_app;

-- The contact whom one of these ids names, or a new one with all of them; two calls at once make one contact. Ids that were
-- not known before become the contact's. `channel` is where the handle belongs. Phone first, then e-mail, then handle.
CREATE FUNCTION find_or_make_contact(org uuid, channel uuid, name text, phone text, handle text, email text) RETURNS uuid
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    nowhere constant uuid := '00000000-0000-0000-0000-000000000000';
    channels uuid[] := ARRAY[NULL, NULL, channel];
    scopes uuid[] := ARRAY[nowhere, nowhere, channel];
    kinds text[] := ARRAY['phone', 'email', 'handle'];
    ids text[] := ARRAY[phone, fold(email), fold(handle)];
    found_id uuid;
    is_new boolean;
    added integer;
BEGIN
    LOOP
        SELECT i.contact_id INTO found_id
          FROM unnest(scopes, kinds, ids) WITH ORDINALITY AS x (scope, kind, value, place)
         CROSS JOIN LATERAL (
               SELECT c.contact_id
                 FROM contact_identities c
                WHERE c.org_id = org AND c.scope = x.scope AND c.kind = x.kind AND c.value = x.value
               OFFSET 0  -- a fence: a join could read all of the organisation's instead
               ) i
         ORDER BY x.place
         LIMIT 1;
        is_new := NOT FOUND;
        IF is_new THEN
            INSERT INTO contacts (org_id, id, name, phone, handle, email)
            VALUES (
                org, uuid_v7(), find_or_make_contact.name, find_or_make_contact.phone, find_or_make_contact.handle,
                find_or_make_contact.email
            )
            RETURNING id INTO found_id;
        END IF;
        INSERT INTO contact_identities (org_id, channel_id, kind, value, contact_id)
        SELECT org, x.channel, x.kind, x.value, found_id
          FROM unnest(channels, scopes, kinds, ids) AS x (channel, scope, kind, value)
         WHERE x.value IS NOT NULL
         ORDER BY x.scope, x.kind, x.value
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS added = ROW_COUNT;
        EXIT WHEN NOT is_new OR added = num_nonnulls(ids[1], ids[2], ids[3]);
        -- Somebody else made one of the ids first: ours goes, theirs is found in the next round.
        DELETE FROM contacts c WHERE c.org_id = org AND c.id = found_id;
    END LOOP;
    IF NOT is_new THEN
        UPDATE contacts c
           SET name = coalesce(c.name, find_or_make_contact.name),
               phone = coalesce(c.phone, find_or_make_contact.phone),
               handle = coalesce(c.handle, find_or_make_contact.handle),
               email = coalesce(c.email, find_or_make_contact.email),
               updated_at = now()
         WHERE c.org_id = org AND c.id = found_id
           AND (
               (c.name IS NULL AND find_or_make_contact.name IS NOT NULL)
               OR (c.phone IS NULL AND find_or_make_contact.phone IS NOT NULL)
               OR (c.handle IS NULL AND find_or_make_contact.handle IS NOT NULL)
               OR (c.email IS NULL AND find_or_make_contact.email IS NOT NULL)
           );
    END IF;
    RETURN found_id;
END
$$;
GRANT EXECUTE ON FUNCTION find_or_make_contact(uuid, uuid, text, text, text, text) TO delightchat_app;

-- Stores inbound messages: finds or makes their contacts, finds, opens or reopens their tickets, and tells of it in events.
-- Returns how many were stored; the others were there already.
--
-- Senders are numbered from 1. Ids that belong to one person come under one number, and each id once; the first of a sender's
-- ids that is known decides who it is, in the order external, phone, handle. A message's provider id comes once.
-- Raises 40001, to be run again, when another transaction made one of the ids or messages at the same time.
--
-- Every look-up is by a key, for as many rows as the batch has. Left to itself the planner reads a whole organisation's
-- contacts or tickets instead, above all while it has no statistics; so each look-up is fenced by OFFSET 0, loops over keys are
-- the only joins, and nothing joins two of the arrays. Plans are kept (making ten of them takes longer than storing a message)
-- but for the statements that would keep a bad one from when the tables were empty.
CREATE FUNCTION receive_messages(
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
    SELECT array_agg(CASE WHEN c.is_nameless THEN x.name ELSE c.name END ORDER BY x.n),
           array_agg(x.n) FILTER (WHERE c.is_nameless AND c.name IS DISTINCT FROM x.name)
      INTO names, renamed
      FROM unnest(contact_ids, sender_names) WITH ORDINALITY AS x (id, name, n)
      LEFT JOIN LATERAL (
               SELECT k.name, k.name IS NULL OR k.name IN (k.phone, k.handle) AS is_nameless
                 FROM contacts k
                WHERE k.org_id = org AND k.id = x.id
               OFFSET 0
           ) c ON true;
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
                   max(coalesce(x.provider_at, to_timestamp(x.accepted / 1000000.0))) AS provider_at
              FROM unnest(message_talks, message_channels, message_senders, provider_times, receive_messages.accepted)
                   AS x (talk, channel, sender, provider_at, accepted)
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
                metadata, status, external_id, reply_to, provider_at, accepted_at, created_at)
        SELECT org, uuid_v7(), x.channel, talk_contacts[x.talk], talk_tickets[x.talk], 'inbound', 'contact',
               talk_contacts[x.talk], names[x.sender], x.text, x.attachments::jsonb, x.metadata::jsonb, 'received', x.external_id,
               x.quoted, x.provider_at, x.accepted, least(clock_timestamp(), to_timestamp(x.accepted / 1000000.0))
          FROM unnest(
                   message_talks, message_senders, message_channels, external_ids, texts, receive_messages.attachments,
                   receive_messages.metadata, quoted, provider_times, receive_messages.accepted
               ) AS x (talk, sender, channel, external_id, text, attachments, metadata, quoted, provider_at, accepted)
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

    -- STOP and START: the newest that was accepted holds, whatever order they are stored in.
    FOR who, is_out, at IN
        SELECT contact_ids[x.sender], x.opt_out, x.accepted
          FROM unnest(message_senders, opt_outs, receive_messages.accepted) AS x (sender, opt_out, accepted)
         WHERE x.opt_out IS NOT NULL
         ORDER BY 1, 3
    LOOP
        UPDATE contacts c
           SET opted_out = is_out, opted_out_changed_at = at, updated_at = now()
         WHERE c.org_id = org AND c.id = who AND c.opted_out_changed_at < at;
    END LOOP;
    RETURN stored;
END
$$;
GRANT EXECUTE ON FUNCTION receive_messages(
    uuid, integer[], uuid[], text[], text[], text[], text[], text[], integer[], uuid[], text[], text[], text[], text[], text[],
    timestamptz[], bigint[], boolean[]
) TO delightchat_app;
