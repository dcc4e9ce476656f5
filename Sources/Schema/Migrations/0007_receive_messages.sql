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
    kinds text[] := ARRAY['phone', 'email', 'handle'];
    ids text[] := ARRAY[phone, fold(email), fold(handle)];
    found_id uuid;
    is_new boolean;
    added integer;
BEGIN
    LOOP
        SELECT i.contact_id INTO found_id
          FROM unnest(channels, kinds, ids) WITH ORDINALITY AS x (channel, kind, value, place)
          JOIN contact_identities i
            ON i.org_id = org AND i.scope = coalesce(x.channel, nowhere) AND i.kind = x.kind AND i.value = x.value
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
          FROM unnest(channels, kinds, ids) AS x (channel, kind, value)
         WHERE x.value IS NOT NULL
         ORDER BY coalesce(x.channel, nowhere), x.kind, x.value
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
AS $$
DECLARE
    nowhere constant uuid := '00000000-0000-0000-0000-000000000000';
    fresh bigint[];
    contacts_found uuid[];
    names text[];
    known_ids bigint;
    made integer[] := '{}';
    added bigint;
    must_rename boolean;
    reopen_within interval;
    talk_channels uuid[];
    talk_contacts uuid[];
    talk_tickets uuid[];
    talk_counts integer[];
    talk_firsts timestamptz[];
    talk_lasts timestamptz[];
    opened integer[] := '{}';
    first_number bigint;
    assignees uuid[];
    stored bigint;
BEGIN
    -- What was seen before is left out from here on.
    fresh := ARRAY(
        SELECT x.n
          FROM unnest(message_channels, external_ids) WITH ORDINALITY AS x (channel, external_id, n)
         WHERE NOT EXISTS (
                   SELECT FROM messages m
                    WHERE m.org_id = org AND m.channel_id = x.channel AND m.external_id = x.external_id
               )
         ORDER BY x.n
    );
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
    WITH known AS (
        SELECT x.sender, i.contact_id, array_position(ARRAY['external', 'phone', 'handle'], x.kind) AS place
          FROM unnest(identity_senders, identity_channels, identity_kinds, identity_values)
               AS x (sender, channel, kind, value)
          JOIN contact_identities i
            ON i.org_id = org AND i.scope = coalesce(x.channel, nowhere) AND i.kind = x.kind AND i.value = x.value
    ),
    best AS (
        SELECT DISTINCT ON (k.sender) k.sender, k.contact_id FROM known k ORDER BY k.sender, k.place
    )
    SELECT array_agg(b.contact_id ORDER BY s.n), (SELECT count(*) FROM known)
      INTO contacts_found, known_ids
      FROM generate_subscripts(sender_names, 1) AS s (n)
      LEFT JOIN best b ON b.sender = s.n;

    IF known_ids < cardinality(identity_senders) THEN
        FOR i IN 1 .. cardinality(sender_names) LOOP
            -- A sender all of whose messages were seen before makes no contact.
            IF contacts_found[i] IS NULL AND i = ANY (message_senders) THEN
                contacts_found[i] := uuid_v7();
                made := made || i;
            END IF;
        END LOOP;
        INSERT INTO contacts (org_id, id, name, phone, handle)
        SELECT org, contacts_found[i], sender_names[i], sender_phones[i], sender_handles[i]
          FROM unnest(made) AS i;
        -- By key, so that two batches never wait for each other in a circle.
        WITH inserted AS (
            INSERT INTO contact_identities (org_id, channel_id, kind, value, contact_id)
            SELECT org, x.channel, x.kind, x.value, contacts_found[x.sender]
              FROM unnest(identity_senders, identity_channels, identity_kinds, identity_values)
                   AS x (sender, channel, kind, value)
             WHERE x.sender = ANY (message_senders)
             ORDER BY coalesce(x.channel, nowhere), x.kind, x.value
            ON CONFLICT DO NOTHING
            RETURNING contact_id
        )
        SELECT count(*) INTO added
          FROM inserted d
          JOIN unnest(made) AS i ON contacts_found[i] = d.contact_id;
        IF added < (SELECT count(*) FROM unnest(identity_senders) AS x (sender) WHERE x.sender = ANY (made)) THEN
            RAISE EXCEPTION 'a contact was made by another transaction' USING ERRCODE = 'serialization_failure';
        END IF;
        UPDATE contacts c
           SET phone = coalesce(c.phone, x.phone), handle = coalesce(c.handle, x.handle), updated_at = now()
          FROM unnest(contacts_found, sender_phones, sender_handles) AS x (id, phone, handle)
         WHERE c.org_id = org AND c.id = x.id
           AND ((c.phone IS NULL AND x.phone IS NOT NULL) OR (c.handle IS NULL AND x.handle IS NOT NULL));
    END IF;

    -- A contact is called by an id only until a name is known.
    SELECT array_agg(CASE WHEN c.name IS NULL OR c.name IN (c.phone, c.handle) THEN x.name ELSE c.name END ORDER BY x.n),
           bool_or((c.name IS NULL OR c.name IN (c.phone, c.handle)) AND c.name IS DISTINCT FROM x.name)
      INTO names, must_rename
      FROM unnest(contacts_found, sender_names) WITH ORDINALITY AS x (id, name, n)
      LEFT JOIN contacts c ON c.org_id = org AND c.id = x.id;
    IF must_rename THEN
        UPDATE contacts c
           SET name = x.name, updated_at = now()
          FROM unnest(contacts_found, names) WITH ORDINALITY AS x (id, name, n)
         WHERE c.org_id = org AND c.id = x.id AND c.name IS DISTINCT FROM x.name AND x.n = ANY (message_senders);
    END IF;

    -- Their conversations, made or locked in key order: from here on nobody else finds or opens a ticket in them.
    WITH wanted AS (
        SELECT x.channel, contacts_found[x.sender] AS contact, count(*)::integer AS count,
               min(x.accepted) AS first, max(x.accepted) AS last,
               max(coalesce(x.provider_at, to_timestamp(x.accepted / 1000000.0))) AS provider_at
          FROM unnest(message_channels, message_senders, provider_times, accepted) AS x (channel, sender, provider_at, accepted)
         GROUP BY 1, 2
    ),
    locked AS (
        INSERT INTO conversations AS v (org_id, channel_id, contact_id, last_inbound_provider_at)
        SELECT org, w.channel, w.contact, w.provider_at FROM wanted w ORDER BY w.channel, w.contact
        ON CONFLICT (org_id, channel_id, contact_id) DO UPDATE
           SET last_inbound_provider_at = greatest(v.last_inbound_provider_at, excluded.last_inbound_provider_at)
        RETURNING v.channel_id, v.contact_id, v.ticket_id
    )
    SELECT array_agg(w.channel ORDER BY w.first), array_agg(w.contact ORDER BY w.first),
           array_agg(l.ticket_id ORDER BY w.first), array_agg(w.count ORDER BY w.first),
           array_agg(least(clock_timestamp(), to_timestamp(w.first / 1000000.0)) ORDER BY w.first),
           array_agg(least(clock_timestamp(), to_timestamp(w.last / 1000000.0)) ORDER BY w.first)
      INTO talk_channels, talk_contacts, talk_tickets, talk_counts, talk_firsts, talk_lasts
      FROM wanted w
      JOIN locked l ON l.channel_id = w.channel AND l.contact_id = w.contact;

    -- Their tickets. The newest one takes the message unless it has been closed for too long. Its row isn't locked yet, because
    -- users come first: one that is closed this very moment is reopened below, as if it had been closed just before.
    SELECT make_interval(secs => 3600 * coalesce((o.settings ->> 'reopenWithinHours')::double precision, 24)) INTO reopen_within
      FROM organisations o WHERE o.id = org;
    SELECT array_agg(
               CASE WHEN t.status <> 'closed' OR t.closed_at > clock_timestamp() - reopen_within THEN t.id END ORDER BY x.n
           )
      INTO talk_tickets
      FROM unnest(talk_tickets) WITH ORDINALITY AS x (ticket, n)
      LEFT JOIN tickets t ON t.org_id = org AND t.id = x.ticket;
    FOR i IN 1 .. cardinality(talk_tickets) LOOP
        IF talk_tickets[i] IS NULL THEN
            talk_tickets[i] := uuid_v7();
            opened := opened || i;
        END IF;
    END LOOP;
    IF cardinality(opened) > 0 THEN
        first_number := next_ticket_number(org, cardinality(opened));
        assignees := next_assignees(org, cardinality(opened));
        WITH created AS (
            INSERT INTO tickets
                   (org_id, id, number, channel_id, contact_id, assignee_id, unread_count, last_message_at, created_at)
            SELECT org, talk_tickets[o.i], first_number + o.n - 1, talk_channels[o.i], talk_contacts[o.i], assignees[o.n],
                   talk_counts[o.i], talk_lasts[o.i], talk_firsts[o.i]
              FROM unnest(opened) WITH ORDINALITY AS o (i, n)
            RETURNING id, channel_id, contact_id, assignee_id
        )
        INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
        SELECT org, 'ticket.created', c.id, c.id,
               jsonb_build_object('channelId', c.channel_id, 'contactId', c.contact_id, 'assigneeId', c.assignee_id)
          FROM created c;
        UPDATE conversations v
           SET ticket_id = talk_tickets[o.i]
          FROM unnest(opened) AS o (i)
         WHERE v.org_id = org AND v.channel_id = talk_channels[o.i] AND v.contact_id = talk_contacts[o.i];
    END IF;

    -- The messages themselves.
    WITH inserted AS (
        INSERT INTO messages
               (org_id, id, channel_id, contact_id, ticket_id, direction, author_type, author_id, author_name, text, attachments,
                metadata, status, external_id, reply_to, provider_at, accepted_at, created_at)
        SELECT org, uuid_v7(), x.channel, talk.contact, talk.ticket, 'inbound', 'contact', talk.contact, names[x.sender],
               x.text, x.attachments::jsonb, x.metadata::jsonb, 'received', x.external_id,
               CASE WHEN x.reply_to IS NOT NULL THEN (
                   SELECT q.id FROM messages q
                    WHERE q.org_id = org AND q.channel_id = x.channel AND q.external_id = x.reply_to
               ) END,
               x.provider_at, x.accepted, least(clock_timestamp(), to_timestamp(x.accepted / 1000000.0))
          FROM unnest(
                   message_senders, message_channels, external_ids, texts, receive_messages.attachments,
                   receive_messages.metadata, reply_tos, provider_times, receive_messages.accepted
               ) AS x (sender, channel, external_id, text, attachments, metadata, reply_to, provider_at, accepted)
          JOIN unnest(talk_channels, talk_contacts, talk_tickets) AS talk (channel, contact, ticket)
            ON talk.channel = x.channel AND talk.contact = contacts_found[x.sender]
         ORDER BY x.accepted
        ON CONFLICT (org_id, channel_id, external_id) DO NOTHING
        RETURNING id, ticket_id
    )
    INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
    SELECT org, 'message.created', m.id, m.ticket_id,
           jsonb_build_object('ticketId', m.ticket_id, 'direction', 'inbound', 'status', 'received')
      FROM inserted m;
    GET DIAGNOSTICS stored = ROW_COUNT;
    IF stored < cardinality(message_senders) THEN
        RAISE EXCEPTION 'a message was stored by another transaction' USING ERRCODE = 'serialization_failure';
    END IF;

    -- The tickets that were there before.
    IF cardinality(opened) < cardinality(talk_tickets) THEN
        WITH before AS (
            SELECT t.id, t.status
              FROM unnest(talk_tickets) WITH ORDINALITY AS x (ticket, n)
              JOIN tickets t ON t.org_id = org AND t.id = x.ticket
             WHERE x.n <> ALL (opened)
               FOR NO KEY UPDATE OF t
        ),
        changed AS (
            UPDATE tickets t
               SET unread_count = t.unread_count + x.count,
                   last_message_at = greatest(t.last_message_at, x.last),
                   status = CASE WHEN b.status = 'closed' AND reopen_within = interval '0' THEN 'closed' ELSE 'open' END,
                   closed_at = CASE WHEN b.status = 'closed' AND reopen_within = interval '0' THEN t.closed_at END,
                   updated_at = now()
              FROM before b
              JOIN unnest(talk_tickets, talk_counts, talk_lasts) AS x (ticket, count, last) ON x.ticket = b.id
             WHERE t.org_id = org AND t.id = b.id
            RETURNING t.id, t.assignee_id, b.status AS old_status, t.status AS new_status
        )
        INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
        SELECT org, 'ticket.updated', c.id, c.id,
               CASE
                   WHEN c.old_status = c.new_status THEN '{"fields": ["lastMessageAt", "unreadCount"]}'::jsonb
                   ELSE jsonb_build_object(
                       'fields', '["status", "lastMessageAt", "unreadCount"]'::jsonb,
                       'status', jsonb_build_object('from', c.old_status, 'to', c.new_status),
                       'assigneeId', c.assignee_id
                   )
               END
          FROM changed c;
    END IF;

    -- STOP and START: the newest that was accepted holds, whatever order they are stored in.
    IF EXISTS (SELECT FROM unnest(opt_outs) AS x (opt_out) WHERE x.opt_out IS NOT NULL) THEN
        UPDATE contacts c
           SET opted_out = x.opt_out, opted_out_changed_at = x.accepted, updated_at = now()
          FROM (
                SELECT DISTINCT ON (contacts_found[y.sender])
                       contacts_found[y.sender] AS contact, y.opt_out, y.accepted
                  FROM unnest(message_senders, opt_outs, receive_messages.accepted) AS y (sender, opt_out, accepted)
                 WHERE y.opt_out IS NOT NULL
                 ORDER BY contacts_found[y.sender], y.accepted DESC
               ) x
         WHERE c.org_id = org AND c.id = x.contact AND c.opted_out_changed_at < x.accepted;
    END IF;
    RETURN stored;
END
$$;
GRANT EXECUTE ON FUNCTION receive_messages(
    uuid, integer[], uuid[], text[], text[], text[], text[], text[], integer[], uuid[], text[], text[], text[], text[], text[],
    timestamptz[], bigint[], boolean[]
) TO delightchat_app;
