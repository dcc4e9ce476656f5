-- Delivering: the messages of one ticket leave one after another, in the order in which they were posted.

-- Trying again ends an hour after the first try.
ALTER TABLE messages ADD COLUMN first_attempted_at timestamptz;

-- Takes or prolongs the lease on a ticket for `holder` and begins the next attempt: the attempt is recorded before the caller
-- sends. `state` tells what to do:
--   send   the message that comes along; `is_unanswered` when an earlier attempt began of which no answer was recorded
--   later  nothing before `due_at`, when the first message in line is to be tried again; the lease is given back
--   busy   somebody else is sending until `due_at`
--   held   the channel may not send at present and somebody has to act; the messages stay queued, the lease is given back
--   idle   nothing is queued, or there is no such ticket; the lease is given back
-- What is queued on a channel that is deleted or disabled becomes failed with `channel_gone`.
-- A message that is committed while somebody else sends is never overlooked: its job finds the lease taken only while the
-- holder has yet to look again.
CREATE FUNCTION claim_delivery(org uuid, ticket uuid, holder uuid, lease interval)
    RETURNS TABLE (
        state text, due_at timestamptz, message_id uuid, is_unanswered boolean, attempts integer, first_attempted_at timestamptz,
        text text, attachments jsonb, template jsonb, author_type text, reply_to text,
        channel_id uuid, channel_type text, settings jsonb, credentials bytea,
        phone text, handle text, external_user text, last_inbound_provider_at timestamptz
    )
    LANGUAGE plpgsql VOLATILE
AS $$
#variable_conflict use_column
DECLARE
    head record;
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

    SELECT m.id, m.attempts, m.next_attempt_at, m.text, m.attachments, m.template, m.author_type,
           q.external_id AS reply_to,
           c.id AS channel_id, c.type, c.status, c.settings, c.credentials, c.deleted_at,
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
     WHERE m.org_id = org AND m.ticket_id = ticket AND m.status = 'queued'
     ORDER BY m.accepted_at, m.id
     LIMIT 1;

    state := CASE
                 WHEN NOT FOUND THEN 'idle'
                 WHEN head.deleted_at IS NOT NULL OR head.status = 'disabled' THEN 'gone'
                 WHEN head.status = 'error' THEN 'held'
                 WHEN head.next_attempt_at > clock_timestamp() THEN 'later'
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
    IF state <> 'send' THEN
        due_at := CASE WHEN state = 'later' THEN head.next_attempt_at END;
        DELETE FROM delivery_leases l WHERE l.org_id = org AND l.ticket_id = ticket AND l.token = holder;
        RETURN NEXT;
        RETURN;
    END IF;

    UPDATE messages m
       SET attempts = m.attempts + 1, attempted_at = clock_timestamp(), next_attempt_at = NULL,
           first_attempted_at = coalesce(m.first_attempted_at, clock_timestamp())
     WHERE m.org_id = org AND m.id = head.id
    RETURNING m.attempts, m.first_attempted_at INTO attempts, first_attempted_at;
    message_id := head.id;
    is_unanswered := head.attempts > 0 AND head.next_attempt_at IS NULL;
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
