-- Campaigns: one message to many contacts, each exactly once, at the provider's pace.
--
-- Recipients are rows with a position from 1; a worker takes a range of positions under a lease (a batch), records each attempt
-- before the call and what became of it afterwards. Statistics are kept as rows change and never counted. A recipient's id is
-- also the id of the message that it gets.
--
-- Whoever changes several of these takes locks in this order: contacts, conversations, messages, recipients, counters. Who
-- pauses or cancels holds the campaign's own row meanwhile, so nobody waits for that row while holding another.

CREATE TABLE campaigns (
    org_id uuid NOT NULL REFERENCES organisations (id),
    id uuid NOT NULL DEFAULT uuid_v7(),
    name text NOT NULL,
    channel_id uuid NOT NULL,
    -- {text} or {template}.
    message jsonb NOT NULL CHECK (jsonb_typeof(message) = 'object'),
    status text NOT NULL DEFAULT 'draft'
        CHECK (status IN ('draft', 'scheduled', 'running', 'paused', 'completed', 'cancelled')),
    per_second integer NOT NULL CHECK (per_second BETWEEN 1 AND 10000),
    scheduled_at timestamptz,
    started_at timestamptz,
    completed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id, channel_id) REFERENCES channels (org_id, id),
    CHECK (status <> 'scheduled' OR scheduled_at IS NOT NULL)
);
CREATE INDEX campaigns_by_creation ON campaigns (org_id, created_at, id);
CREATE INDEX campaigns_at_work ON campaigns (org_id, status, scheduled_at) WHERE status IN ('scheduled', 'running', 'cancelled');
SELECT protect_table('campaigns', 'SELECT, INSERT, UPDATE');
SELECT open_to_directory('campaigns', 'SELECT (org_id, id, channel_id, status, scheduled_at)');

-- One row a campaign, changed with every group of sends: apart from the campaign, whose message would be copied each time.
CREATE TABLE campaign_counters (
    org_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    total bigint NOT NULL DEFAULT 0,
    pending bigint NOT NULL DEFAULT 0,
    sent bigint NOT NULL DEFAULT 0,
    delivered bigint NOT NULL DEFAULT 0,
    read bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    opted_out bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0,
    replies bigint NOT NULL DEFAULT 0,
    -- Positions up to here have been in a batch.
    taken bigint NOT NULL DEFAULT 0,
    -- How many were tried since `window_at`, and in the ten seconds before: the present rate.
    window_at timestamptz,
    window_count bigint NOT NULL DEFAULT 0,
    window_before bigint NOT NULL DEFAULT 0,
    -- When progress was last told in an event.
    announced_at timestamptz,
    PRIMARY KEY (org_id, campaign_id),
    FOREIGN KEY (org_id, campaign_id) REFERENCES campaigns (org_id, id),
    CHECK (total = pending + sent + delivered + read + failed + opted_out + cancelled),
    CHECK (least(pending, sent, delivered, read, failed, opted_out, cancelled, replies) >= 0)
) WITH (fillfactor = 10);
SELECT protect_table('campaign_counters', 'SELECT, INSERT, UPDATE');
SELECT open_to_directory('campaign_counters', 'SELECT (org_id, campaign_id, total, pending, taken)');

CREATE TABLE campaign_failures (
    org_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    code text NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (org_id, campaign_id, code),
    FOREIGN KEY (org_id, campaign_id) REFERENCES campaigns (org_id, id)
) WITH (fillfactor = 50);
SELECT protect_table('campaign_failures', 'SELECT, INSERT, UPDATE, DELETE');

CREATE TABLE campaign_recipients (
    org_id uuid NOT NULL,
    id uuid NOT NULL DEFAULT uuid_v7(),
    campaign_id uuid NOT NULL,
    -- Rises from 1 without gaps inside a campaign, in the order of the rows that were uploaded.
    position bigint NOT NULL,
    contact_id uuid NOT NULL,
    -- What is there once in a campaign: the number, or @ and the folded handle.
    address text NOT NULL CHECK (octet_length(address) <= 1024),
    name text,
    phone text,
    handle text,
    variables jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(variables) = 'object'),
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'sent', 'delivered', 'read', 'failed', 'optedOut', 'cancelled')),
    error_code text,
    error_message text,
    -- Tries begun; when the last one began (written before the call). While the recipient is pending, no `next_attempt_at` beside
    -- an attempt says that its answer isn't known.
    attempts integer NOT NULL DEFAULT 0,
    attempted_at timestamptz,
    next_attempt_at timestamptz,
    first_attempted_at timestamptz,
    sent_at timestamptz,
    delivered_at timestamptz,
    read_at timestamptz,
    replied_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, id),
    UNIQUE (org_id, campaign_id, position),
    UNIQUE (org_id, campaign_id, address),
    FOREIGN KEY (org_id, campaign_id) REFERENCES campaigns (org_id, id),
    FOREIGN KEY (org_id, contact_id) REFERENCES contacts (org_id, id),
    CHECK (status <> 'failed' OR error_code IS NOT NULL)
);
CREATE INDEX campaign_recipients_by_status ON campaign_recipients (org_id, campaign_id, status, position);
CREATE INDEX campaign_recipients_by_contact ON campaign_recipients (org_id, contact_id, attempted_at);
SELECT protect_table('campaign_recipients', 'SELECT, INSERT, UPDATE, DELETE');

-- A range of positions that somebody is at (`token`, until `due_at`), or that has recipients to be tried again from `due_at` on
-- (no token). A batch that still has a token when it is due was left by a process that died.
CREATE TABLE campaign_batches (
    org_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    token uuid,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, campaign_id, first_position),
    FOREIGN KEY (org_id, campaign_id) REFERENCES campaigns (org_id, id)
) WITH (fillfactor = 70);
SELECT protect_table('campaign_batches', 'SELECT, INSERT, UPDATE, DELETE');
SELECT open_to_directory('campaign_batches', 'SELECT (org_id, campaign_id, token, due_at)');

-- Campaign messages that nobody has answered yet, newest last: what a reply moves into its ticket.
CREATE INDEX messages_unanswered ON messages (org_id, channel_id, contact_id, accepted_at) WHERE ticket_id IS NULL;

-- When the quiet hours end that it is in at `at`, in a zone; NULL outside of them. `hours` is {"from": "HH:MM", "to": "HH:MM"}.
CREATE FUNCTION quiet_until(hours jsonb, zone text, at timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql STABLE
AS $$
DECLARE
    clock timestamp := at AT TIME ZONE zone;
    starts time := (hours ->> 'from')::time;
    ends time := (hours ->> 'to')::time;
    is_quiet boolean;
BEGIN
    IF starts IS NULL OR ends IS NULL THEN
        RETURN NULL;
    END IF;
    is_quiet := CASE WHEN starts < ends THEN clock::time >= starts AND clock::time < ends
                     ELSE clock::time >= starts OR clock::time < ends END;
    IF NOT is_quiet THEN
        RETURN NULL;
    END IF;
    RETURN (clock::date + ends + CASE WHEN clock::time < ends THEN interval '0' ELSE interval '1 day' END) AT TIME ZONE zone;
END
$$;
GRANT EXECUTE ON FUNCTION quiet_until(jsonb, text, timestamptz) TO delightchat_app;

-- Takes the next range of a campaign for `holder`. `state` tells what to do:
--   send   the range that comes along; `is_orphaned` where its last holder died
--   later  nothing before `due_at`
--   end    the campaign is cancelled, or its channel is gone: end what is left with `outcome`
--   held   the channel waits for a person
--   busy   `most` ranges are being sent already
--   done   every range has been taken and settled
--   idle   there is no such campaign, or it isn't running
CREATE FUNCTION claim_campaign_batch(org uuid, campaign uuid, holder uuid, size integer, most integer, lease interval)
    RETURNS TABLE (
        state text, due_at timestamptz, outcome text, first_position bigint, last_position bigint, is_orphaned boolean,
        name text, message jsonb, per_second integer, channel_id uuid, channel_type text, settings jsonb, credentials bytea,
        quiet_hours jsonb
    )
    LANGUAGE plpgsql VOLATILE
AS $$
#variable_conflict use_column
DECLARE
    head record;
BEGIN
    SELECT c.name, c.message, c.per_second, c.status, c.channel_id, h.type, h.status AS channel_status, h.deleted_at, h.settings,
           h.credentials, o.timezone, o.settings -> 'quietHours' AS quiet
      INTO head
      FROM campaigns c
      JOIN channels h ON h.org_id = c.org_id AND h.id = c.channel_id
      JOIN organisations o ON o.id = c.org_id
     WHERE c.org_id = org AND c.id = campaign;
    IF NOT FOUND OR head.status NOT IN ('running', 'cancelled') THEN
        state := 'idle';
        RETURN NEXT;
        RETURN;
    END IF;
    IF head.status = 'cancelled' OR head.deleted_at IS NOT NULL OR head.channel_status = 'disabled' THEN
        state := 'end';
        outcome := CASE WHEN head.status = 'cancelled' THEN 'cancelled' ELSE 'failed' END;
        RETURN NEXT;
        RETURN;
    END IF;
    IF head.channel_status = 'error' THEN
        state := 'held';
        RETURN NEXT;
        RETURN;
    END IF;
    due_at := quiet_until(head.quiet, head.timezone, clock_timestamp());
    IF due_at IS NOT NULL THEN
        state := 'later';
        RETURN NEXT;
        RETURN;
    END IF;

    IF (
        SELECT count(*) FROM campaign_batches b
         WHERE b.org_id = org AND b.campaign_id = campaign AND b.token IS NOT NULL AND b.due_at > clock_timestamp()
       ) >= most
    THEN
        state := 'busy';
        RETURN NEXT;
        RETURN;
    END IF;
    SELECT b.first_position, b.last_position, b.token IS NOT NULL INTO first_position, last_position, is_orphaned
      FROM campaign_batches b
     WHERE b.org_id = org AND b.campaign_id = campaign AND b.due_at <= clock_timestamp()
     ORDER BY b.due_at
     LIMIT 1
       FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
        UPDATE campaign_batches b
           SET token = holder, due_at = clock_timestamp() + lease
         WHERE b.org_id = org AND b.campaign_id = campaign AND b.first_position = claim_campaign_batch.first_position;
    ELSE
        is_orphaned := false;
        UPDATE campaign_counters n
           SET taken = least(n.total, o.taken + size)
          FROM (
                SELECT k.taken FROM campaign_counters k
                 WHERE k.org_id = org AND k.campaign_id = campaign AND k.taken < k.total
                   FOR NO KEY UPDATE
               ) o
         WHERE n.org_id = org AND n.campaign_id = campaign
        RETURNING o.taken + 1, n.taken INTO first_position, last_position;
        IF FOUND THEN
            INSERT INTO campaign_batches (org_id, campaign_id, first_position, last_position, token, due_at)
            VALUES (org, campaign, first_position, last_position, holder, clock_timestamp() + lease);
        ELSE
            SELECT min(b.due_at) INTO due_at FROM campaign_batches b WHERE b.org_id = org AND b.campaign_id = campaign;
            state := CASE WHEN due_at IS NULL THEN 'done' ELSE 'later' END;
            first_position := NULL;
            RETURN NEXT;
            RETURN;
        END IF;
    END IF;
    state := 'send';
    name := head.name;
    message := head.message;
    per_second := head.per_second;
    channel_id := head.channel_id;
    channel_type := head.type;
    settings := head.settings;
    credentials := head.credentials;
    quiet_hours := head.quiet;
    RETURN NEXT;
END
$$;
GRANT EXECUTE ON FUNCTION claim_campaign_batch(uuid, uuid, uuid, integer, integer, interval) TO delightchat_app;

-- Adds to the counters what moved out of `pending`, and to the failures by code; tells of it in an event at most once a second.
CREATE FUNCTION count_campaign_sends(org uuid, campaign uuid, statuses text[], codes text[], tried integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    left_over bigint;
    is_told boolean;
BEGIN
    INSERT INTO campaign_failures AS f (org_id, campaign_id, code, count)
    SELECT org, campaign, x.code, count(*)
      FROM unnest(statuses, codes) AS x (status, code)
     WHERE x.status = 'failed'
     GROUP BY x.code
     ORDER BY x.code
    ON CONFLICT (org_id, campaign_id, code) DO UPDATE SET count = f.count + excluded.count;
    UPDATE campaign_counters n
       SET pending = n.pending - d.moved, sent = n.sent + d.sent, delivered = n.delivered + d.delivered,
           failed = n.failed + d.failed, opted_out = n.opted_out + d.opted_out, cancelled = n.cancelled + d.cancelled,
           window_at = CASE WHEN n.window_at > clock_timestamp() - interval '10 seconds' THEN n.window_at
                            ELSE clock_timestamp() END,
           window_before = CASE WHEN n.window_at > clock_timestamp() - interval '10 seconds' THEN n.window_before
                                WHEN n.window_at > clock_timestamp() - interval '20 seconds' THEN n.window_count
                                ELSE 0 END,
           window_count = CASE WHEN n.window_at > clock_timestamp() - interval '10 seconds' THEN n.window_count ELSE 0 END + tried,
           announced_at = CASE WHEN o.is_told THEN clock_timestamp() ELSE n.announced_at END
      FROM (
            SELECT coalesce(k.announced_at <= clock_timestamp() - interval '1 second', true) AS is_told
              FROM campaign_counters k
             WHERE k.org_id = org AND k.campaign_id = campaign
               FOR NO KEY UPDATE
           ) o,
           (
            SELECT count(*) FILTER (WHERE x.status <> 'pending') AS moved,
                   count(*) FILTER (WHERE x.status = 'sent') AS sent,
                   count(*) FILTER (WHERE x.status = 'delivered') AS delivered,
                   count(*) FILTER (WHERE x.status = 'failed') AS failed,
                   count(*) FILTER (WHERE x.status = 'optedOut') AS opted_out,
                   count(*) FILTER (WHERE x.status = 'cancelled') AS cancelled
              FROM unnest(statuses) AS x (status)
           ) d
     WHERE n.org_id = org AND n.campaign_id = campaign
    RETURNING n.pending, o.is_told INTO left_over, is_told;
    IF is_told THEN
        INSERT INTO events (org_id, type, entity_id, payload)
        VALUES (org, 'campaign.updated', campaign, '{"fields": ["progress"]}');
    END IF;
    RETURN left_over;
END
$$;
GRANT EXECUTE ON FUNCTION count_campaign_sends(uuid, uuid, text[], text[], integer) TO delightchat_app;

-- Begins the next attempts of a range that `holder` has: prolongs the lease, ends who has opted out or got too many, records the
-- others' attempts and returns them. One row of state `lost` when the range is somebody else's by now, `stop` when the campaign
-- or its channel no longer sends, `none` when nobody in the range is to be tried now; rows of `send` otherwise, and one `skip`
-- where everybody who was looked at has ended without a send.
CREATE FUNCTION begin_campaign_sends(
    org uuid, campaign uuid, holder uuid, first bigint, last bigint, max integer, lease interval
)
    RETURNS TABLE (
        state text, recipient_id uuid, recipient_position bigint, attempts integer, first_attempted_at timestamptz, name text,
        phone text, handle text, variables jsonb, contact_name text, contact_phone text, contact_handle text, external_user text,
        last_inbound_provider_at timestamptz
    )
    LANGUAGE plpgsql VOLATILE
    SET enable_seqscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    channel uuid;
    cap jsonb;
    chosen uuid[];
    ended uuid[];
    capped uuid[] := '{}';
    statuses text[];
BEGIN
    UPDATE campaign_batches b
       SET due_at = clock_timestamp() + lease
     WHERE b.org_id = org AND b.campaign_id = campaign AND b.first_position = first AND b.token = holder;
    IF NOT FOUND THEN
        state := 'lost';
        RETURN NEXT;
        RETURN;
    END IF;
    SELECT c.channel_id, o.settings -> 'campaignCap' INTO channel, cap
      FROM campaigns c
      JOIN channels h ON h.org_id = c.org_id AND h.id = c.channel_id AND h.status = 'active' AND h.deleted_at IS NULL
      JOIN organisations o ON o.id = c.org_id
     WHERE c.org_id = org AND c.id = campaign AND c.status = 'running';
    IF NOT FOUND THEN
        state := 'stop';
        RETURN NEXT;
        RETURN;
    END IF;
    chosen := ARRAY(
        SELECT r.id
          FROM campaign_recipients r
         WHERE r.org_id = org AND r.campaign_id = campaign AND r.status = 'pending' AND r.position BETWEEN first AND last
           AND (r.attempts = 0 OR r.next_attempt_at <= clock_timestamp())
         ORDER BY r.position
         LIMIT max
           FOR UPDATE SKIP LOCKED
    );
    IF cardinality(chosen) = 0 THEN
        state := 'none';
        RETURN NEXT;
        RETURN;
    END IF;
    -- At the moment of sending, whatever it was at the upload.
    ended := ARRAY(
        SELECT x.id
          FROM unnest(chosen) AS x (id)
          JOIN campaign_recipients r ON r.org_id = org AND r.id = x.id
          JOIN contacts k ON k.org_id = org AND k.id = r.contact_id
         WHERE k.opted_out
    );
    IF jsonb_typeof(cap) = 'object' THEN
        capped := ARRAY(
            SELECT x.id
              FROM unnest(chosen) AS x (id)
              JOIN campaign_recipients r ON r.org_id = org AND r.id = x.id
             WHERE x.id <> ALL (ended)
               AND (
                       SELECT count(*)
                         FROM campaign_recipients o
                        WHERE o.org_id = org AND o.contact_id = r.contact_id AND o.id <> r.id
                          AND o.attempted_at > clock_timestamp() - make_interval(days => (cap ->> 'days')::integer)
                          AND (
                              o.status IN ('sent', 'delivered', 'read') OR o.error_code = 'outcome_unknown'
                              OR (o.status = 'pending' AND o.next_attempt_at IS NULL)
                          )
                   ) >= (cap ->> 'messages')::integer
        );
    END IF;
    IF cardinality(ended) + cardinality(capped) > 0 THEN
        UPDATE campaign_recipients r
           SET status = CASE WHEN r.id = ANY (capped) THEN 'failed' ELSE 'optedOut' END,
               error_code = CASE WHEN r.id = ANY (capped) THEN 'frequency_capped' END,
               error_message = CASE WHEN r.id = ANY (capped) THEN 'The contact got as many campaign messages as they may.' END
         WHERE r.org_id = org AND r.id = ANY (ended || capped);
        statuses := array_fill('optedOut'::text, ARRAY[cardinality(ended)])
            || array_fill('failed'::text, ARRAY[cardinality(capped)]);
        PERFORM count_campaign_sends(
            org, campaign, statuses, array_fill('frequency_capped'::text, ARRAY[cardinality(statuses)]), 0
        );
        chosen := ARRAY(SELECT x.id FROM unnest(chosen) AS x (id) WHERE x.id <> ALL (ended || capped));
        IF cardinality(chosen) = 0 THEN
            state := 'skip';
            RETURN NEXT;
            RETURN;
        END IF;
    END IF;
    UPDATE campaign_recipients r
       SET attempts = r.attempts + 1, attempted_at = clock_timestamp(), next_attempt_at = NULL,
           first_attempted_at = coalesce(r.first_attempted_at, clock_timestamp())
     WHERE r.org_id = org AND r.id = ANY (chosen);
    RETURN QUERY
    SELECT 'send'::text, r.id, r.position, r.attempts, r.first_attempted_at, r.name, r.phone, r.handle, r.variables,
           k.name, k.phone, k.handle,
           (SELECT i.value FROM contact_identities i
             WHERE i.org_id = org AND i.contact_id = k.id AND i.scope = channel AND i.kind = 'external'
             ORDER BY i.created_at DESC
             LIMIT 1),
           v.last_inbound_provider_at
      FROM unnest(chosen) AS x (id)
      JOIN campaign_recipients r ON r.org_id = org AND r.id = x.id
      JOIN contacts k ON k.org_id = org AND k.id = r.contact_id
      LEFT JOIN conversations v ON v.org_id = org AND v.channel_id = channel AND v.contact_id = k.id
     ORDER BY r.position;
END
$$;
GRANT EXECUTE ON FUNCTION begin_campaign_sends(uuid, uuid, uuid, bigint, bigint, integer, interval) TO delightchat_app;

-- Writes what became of attempts, all in one call, and returns how many recipients are left. `outcomes` are a recipient's status,
-- or `pending` to be tried again after a pause of so many seconds; `deferred` is that without an attempt having been made. What
-- the provider has becomes a message without a ticket. Who has been settled already stays as they are.
CREATE FUNCTION settle_campaign_sends(
    org uuid, campaign uuid, ids uuid[], outcomes text[], external_ids text[], codes text[], faults text[], texts text[],
    templates text[], pauses double precision[]
) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET enable_seqscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
AS $$
DECLARE
    head record;
    statuses text[];
    ended_codes text[];
    tried integer;
BEGIN
    SELECT c.name, c.channel_id, c.status INTO head FROM campaigns c WHERE c.org_id = org AND c.id = campaign;
    WITH given AS (
        SELECT * FROM unnest(ids, outcomes, external_ids, codes, faults, texts, templates, pauses)
            AS x (id, outcome, external_id, code, fault, text, template, pause)
    ),
    changed AS (
        UPDATE campaign_recipients r
           SET status = CASE
                            WHEN g.outcome NOT IN ('pending', 'deferred') THEN g.outcome
                            WHEN head.status = 'cancelled' THEN 'cancelled'
                            ELSE 'pending'
                        END,
               error_code = CASE WHEN g.outcome = 'failed' THEN g.code END,
               error_message = CASE WHEN g.outcome = 'failed' THEN g.fault END,
               attempts = r.attempts - CASE WHEN g.outcome = 'deferred' THEN 1 ELSE 0 END,
               next_attempt_at = CASE WHEN g.outcome IN ('pending', 'deferred')
                                      THEN clock_timestamp() + make_interval(secs => g.pause) END,
               sent_at = CASE WHEN g.outcome IN ('sent', 'delivered') THEN clock_timestamp() END,
               delivered_at = CASE WHEN g.outcome = 'delivered' THEN clock_timestamp() END
          FROM given g
         WHERE r.org_id = org AND r.id = g.id AND r.status = 'pending'
        RETURNING r.id, r.contact_id, r.status, r.error_code, r.sent_at, r.delivered_at, g.outcome, g.external_id, g.text,
                  g.template
    ),
    talks AS (
        INSERT INTO conversations (org_id, channel_id, contact_id)
        SELECT org, head.channel_id, c.contact_id FROM changed c WHERE c.sent_at IS NOT NULL ORDER BY c.contact_id
        ON CONFLICT (org_id, channel_id, contact_id) DO NOTHING
    ),
    stored AS (
        INSERT INTO messages
               (org_id, id, channel_id, contact_id, direction, author_type, author_id, author_name, text, template, status,
                external_id, sent_at, delivered_at, created_at)
        SELECT org, c.id, head.channel_id, c.contact_id, 'outbound', 'campaign', campaign, head.name, c.text, c.template::jsonb,
               c.status, c.external_id, c.sent_at, c.delivered_at, c.sent_at
          FROM changed c
         WHERE c.sent_at IS NOT NULL
        ON CONFLICT DO NOTHING
    )
    SELECT array_agg(c.status), array_agg(c.error_code), count(*) FILTER (WHERE c.outcome <> 'deferred')
      INTO statuses, ended_codes, tried
      FROM changed c;
    IF statuses IS NULL THEN
        RETURN (SELECT n.pending FROM campaign_counters n WHERE n.org_id = org AND n.campaign_id = campaign);
    END IF;
    RETURN count_campaign_sends(org, campaign, statuses, ended_codes, tried);
END
$$;
GRANT EXECUTE ON FUNCTION settle_campaign_sends(
    uuid, uuid, uuid[], text[], text[], text[], text[], text[], text[], double precision[]
) TO delightchat_app;

-- Decides about the attempts in a range whose process died before their answer was recorded: tried again where the provider
-- takes a repetition as the same message, and failed otherwise, since nobody knows whether they arrived.
CREATE FUNCTION recover_campaign_batch(org uuid, campaign uuid, first bigint, last bigint, resend boolean) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    lost bigint;
BEGIN
    IF resend THEN
        UPDATE campaign_recipients r
           SET next_attempt_at = clock_timestamp()
         WHERE r.org_id = org AND r.campaign_id = campaign AND r.status = 'pending' AND r.position BETWEEN first AND last
           AND r.attempts > 0 AND r.next_attempt_at IS NULL;
        RETURN 0;
    END IF;
    UPDATE campaign_recipients r
       SET status = 'failed', error_code = 'outcome_unknown',
           error_message = 'The provider''s answer was lost: the message may have arrived or not.'
     WHERE r.org_id = org AND r.campaign_id = campaign AND r.status = 'pending' AND r.position BETWEEN first AND last
       AND r.attempts > 0 AND r.next_attempt_at IS NULL;
    GET DIAGNOSTICS lost = ROW_COUNT;
    IF lost > 0 THEN
        PERFORM count_campaign_sends(
            org, campaign, array_fill('failed'::text, ARRAY[lost::integer]),
            array_fill('outcome_unknown'::text, ARRAY[lost::integer]), 0
        );
    END IF;
    RETURN lost;
END
$$;
GRANT EXECUTE ON FUNCTION recover_campaign_batch(uuid, uuid, bigint, bigint, boolean) TO delightchat_app;

-- Gives a range back: it goes when everybody in it has ended, waits for who is to be tried again, and stays as it is, to be
-- looked into when its lease has run out, where an attempt has no answer.
CREATE FUNCTION finish_campaign_batch(org uuid, campaign uuid, holder uuid, first bigint, last bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    left_over bigint;
    unanswered bigint;
    next timestamptz;
BEGIN
    SELECT count(*), count(*) FILTER (WHERE r.attempts > 0 AND r.next_attempt_at IS NULL),
           min(coalesce(r.next_attempt_at, clock_timestamp()))
      INTO left_over, unanswered, next
      FROM campaign_recipients r
     WHERE r.org_id = org AND r.campaign_id = campaign AND r.status = 'pending' AND r.position BETWEEN first AND last;
    IF left_over = 0 THEN
        DELETE FROM campaign_batches b
         WHERE b.org_id = org AND b.campaign_id = campaign AND b.first_position = first AND b.token = holder;
    ELSIF unanswered = 0 THEN
        UPDATE campaign_batches b
           SET token = NULL, due_at = next
         WHERE b.org_id = org AND b.campaign_id = campaign AND b.first_position = first AND b.token = holder;
    END IF;
END
$$;
GRANT EXECUTE ON FUNCTION finish_campaign_batch(uuid, uuid, uuid, bigint, bigint) TO delightchat_app;

-- Ends up to `max` recipients of a campaign that is cancelled (`cancelled`) or whose channel is gone (`failed`). Who is being
-- sent to at present is left to their sender; where that one died, the outcome is unknown. Returns how many ended.
CREATE FUNCTION end_campaign_recipients(org uuid, campaign uuid, outcome text, max integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    ended uuid[];
    orphan record;
    unknown bigint := 0;
BEGIN
    FOR orphan IN
        DELETE FROM campaign_batches b
         WHERE b.org_id = org AND b.campaign_id = campaign AND b.due_at <= clock_timestamp()
        RETURNING b.first_position, b.last_position
    LOOP
        unknown := unknown + recover_campaign_batch(org, campaign, orphan.first_position, orphan.last_position, false);
    END LOOP;
    ended := ARRAY(
        SELECT r.id
          FROM campaign_recipients r
         WHERE r.org_id = org AND r.campaign_id = campaign AND r.status = 'pending'
           AND (r.attempts = 0 OR r.next_attempt_at IS NOT NULL)
         ORDER BY r.position
         LIMIT max
           FOR UPDATE SKIP LOCKED
    );
    IF cardinality(ended) > 0 THEN
        UPDATE campaign_recipients r
           SET status = outcome, next_attempt_at = NULL,
               error_code = CASE WHEN outcome = 'failed' THEN 'channel_gone' END,
               error_message = CASE WHEN outcome = 'failed' THEN 'The channel was deleted or disabled.' END
         WHERE r.org_id = org AND r.id = ANY (ended);
        PERFORM count_campaign_sends(
            org, campaign, array_fill(outcome, ARRAY[cardinality(ended)]),
            array_fill('channel_gone'::text, ARRAY[cardinality(ended)]), 0
        );
    END IF;
    RETURN unknown + cardinality(ended);
END
$$;
GRANT EXECUTE ON FUNCTION end_campaign_recipients(uuid, uuid, text, integer) TO delightchat_app;

-- Completes a campaign whose last recipient has an end state; true when this call did.
CREATE FUNCTION complete_campaign(org uuid, campaign uuid) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    UPDATE campaigns c
       SET status = 'completed', completed_at = clock_timestamp(), updated_at = clock_timestamp()
     WHERE c.org_id = org AND c.id = campaign AND c.status IN ('running', 'paused')
       AND EXISTS (SELECT FROM campaign_counters n WHERE n.org_id = org AND n.campaign_id = campaign AND n.pending = 0);
    IF FOUND THEN
        INSERT INTO events (org_id, type, entity_id, payload)
        VALUES (org, 'campaign.updated', campaign, '{"fields": ["status", "completedAt"], "status": {"to": "completed"}}');
        DELETE FROM campaign_batches b WHERE b.org_id = org AND b.campaign_id = campaign;
    END IF;
    RETURN FOUND;
END
$$;
GRANT EXECUTE ON FUNCTION complete_campaign(uuid, uuid) TO delightchat_app;

-- What the provider says later of a campaign's message moves its recipient along, forward only.
CREATE FUNCTION follow_campaign_message() RETURNS trigger
    LANGUAGE plpgsql
AS $$
DECLARE
    ranks constant text[] := ARRAY['sent', 'delivered', 'read'];
    before text;
    campaign uuid;
BEGIN
    SELECT r.status, r.campaign_id INTO before, campaign
      FROM campaign_recipients r
     WHERE r.org_id = NEW.org_id AND r.id = NEW.id
       FOR UPDATE;
    IF NOT FOUND OR before NOT IN ('sent', 'delivered', 'read')
       OR NOT (
           coalesce(array_position(ranks, NEW.status) > array_position(ranks, before), false)
           OR (NEW.status = 'failed' AND before = 'sent')
       )
    THEN
        RETURN NULL;
    END IF;
    UPDATE campaign_recipients r
       SET status = NEW.status,
           delivered_at = CASE WHEN NEW.status IN ('delivered', 'read')
                               THEN coalesce(r.delivered_at, NEW.delivered_at, NEW.read_at, clock_timestamp())
                               ELSE r.delivered_at END,
           read_at = CASE WHEN NEW.status = 'read' THEN coalesce(NEW.read_at, clock_timestamp()) END,
           error_code = CASE WHEN NEW.status = 'failed' THEN NEW.error_code END,
           error_message = CASE WHEN NEW.status = 'failed' THEN NEW.error_message END
     WHERE r.org_id = NEW.org_id AND r.id = NEW.id;
    IF NEW.status = 'failed' THEN
        INSERT INTO campaign_failures AS f (org_id, campaign_id, code, count)
        VALUES (NEW.org_id, campaign, NEW.error_code, 1)
        ON CONFLICT (org_id, campaign_id, code) DO UPDATE SET count = f.count + 1;
    END IF;
    UPDATE campaign_counters n
       SET sent = n.sent - CASE WHEN before = 'sent' THEN 1 ELSE 0 END,
           delivered = n.delivered + CASE WHEN NEW.status = 'delivered' THEN 1 ELSE 0 END
                                   - CASE WHEN before = 'delivered' THEN 1 ELSE 0 END,
           read = n.read + CASE WHEN NEW.status = 'read' THEN 1 ELSE 0 END,
           failed = n.failed + CASE WHEN NEW.status = 'failed' THEN 1 ELSE 0 END
     WHERE n.org_id = NEW.org_id AND n.campaign_id = campaign;
    RETURN NULL;
END
$$;
CREATE TRIGGER follow_campaign_message AFTER UPDATE OF status ON messages
    FOR EACH ROW WHEN (NEW.author_type = 'campaign' AND OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION follow_campaign_message();

-- A customer's message moves the campaign's message that it quotes, or else the newest one of its conversation that nobody has
-- answered, into the ticket that it reached, and counts as that recipient's reply.
CREATE FUNCTION follow_campaign_reply() RETURNS trigger
    LANGUAGE plpgsql
AS $$
DECLARE
    answered record;
    campaign uuid;
BEGIN
    SELECT m.id, m.status INTO answered
      FROM messages m
     WHERE m.org_id = NEW.org_id AND m.channel_id = NEW.channel_id AND m.contact_id = NEW.contact_id AND m.ticket_id IS NULL
     ORDER BY m.id = NEW.reply_to DESC NULLS LAST, m.accepted_at DESC
     LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    UPDATE messages m
       SET ticket_id = NEW.ticket_id
     WHERE m.org_id = NEW.org_id AND m.id = answered.id AND m.ticket_id IS NULL;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
    VALUES (
        NEW.org_id, 'message.updated', answered.id, NEW.ticket_id,
        jsonb_build_object('ticketId', NEW.ticket_id, 'direction', 'outbound', 'status', answered.status)
    );
    UPDATE campaign_recipients r
       SET replied_at = clock_timestamp()
     WHERE r.org_id = NEW.org_id AND r.id = answered.id AND r.replied_at IS NULL
    RETURNING r.campaign_id INTO campaign;
    IF FOUND THEN
        UPDATE campaign_counters n SET replies = n.replies + 1 WHERE n.org_id = NEW.org_id AND n.campaign_id = campaign;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER follow_campaign_reply AFTER INSERT ON messages
    FOR EACH ROW WHEN (NEW.direction = 'inbound' AND NEW.ticket_id IS NOT NULL)
    EXECUTE FUNCTION follow_campaign_reply();

-- Recipients go along with the ids of their contact: with one that becomes another contact's they do too, and with one that is
-- erased goes what is known of them. Who had not been sent to yet fails.
CREATE FUNCTION follow_contact_identity() RETURNS trigger
    LANGUAGE plpgsql
AS $$
DECLARE
    campaign uuid;
    ended integer;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        UPDATE campaign_recipients r
           SET contact_id = NEW.contact_id
         WHERE r.org_id = NEW.org_id AND r.contact_id = OLD.contact_id;
        RETURN NULL;
    END IF;
    FOR campaign, ended IN
        WITH erased AS (
            UPDATE campaign_recipients r
               SET name = NULL, phone = NULL, handle = NULL, variables = '{}', address = 'erased ' || r.id, error_message = NULL,
                   status = CASE WHEN r.status = 'pending' THEN 'failed' ELSE r.status END,
                   error_code = CASE WHEN r.status = 'pending' THEN 'contact_erased' ELSE r.error_code END,
                   next_attempt_at = NULL
              FROM (
                    SELECT o.id, o.status FROM campaign_recipients o
                     WHERE o.org_id = OLD.org_id AND o.contact_id = OLD.contact_id AND o.address NOT LIKE 'erased %'
                       FOR UPDATE
                   ) b
             WHERE r.org_id = OLD.org_id AND r.id = b.id
            RETURNING r.campaign_id, b.status
        )
        SELECT e.campaign_id, count(*) FROM erased e WHERE e.status = 'pending' GROUP BY 1 ORDER BY 1
    LOOP
        PERFORM count_campaign_sends(
            OLD.org_id, campaign, array_fill('failed'::text, ARRAY[ended]), array_fill('contact_erased'::text, ARRAY[ended]), 0
        );
    END LOOP;
    RETURN NULL;
END
$$;
CREATE TRIGGER follow_contact_identity_move AFTER UPDATE OF contact_id ON contact_identities
    FOR EACH ROW WHEN (OLD.contact_id <> NEW.contact_id)
    EXECUTE FUNCTION follow_contact_identity();
CREATE TRIGGER follow_contact_identity_end AFTER DELETE ON contact_identities
    FOR EACH ROW EXECUTE FUNCTION follow_contact_identity();

-- For the schedule: scheduled campaigns whose time has come.
CREATE FUNCTION find_due_campaigns(max integer DEFAULT 1000)
    RETURNS TABLE (org_id uuid, campaign_id uuid)
    LANGUAGE sql STABLE
AS $$
    SELECT c.org_id, c.id
      FROM campaigns c
     WHERE c.status = 'scheduled' AND c.scheduled_at <= now()
     ORDER BY c.scheduled_at
     LIMIT max
$$;
SELECT hand_to_directory('find_due_campaigns(integer)');

-- For the sweep: campaigns that nobody is at. Their jobs may have been lost; a surplus one is harmless.
CREATE FUNCTION find_waiting_campaigns(max integer DEFAULT 1000)
    RETURNS TABLE (org_id uuid, campaign_id uuid)
    LANGUAGE sql STABLE
AS $$
    SELECT c.org_id, c.id
      FROM campaigns c
      JOIN channels h ON h.org_id = c.org_id AND h.id = c.channel_id
      JOIN campaign_counters n ON n.org_id = c.org_id AND n.campaign_id = c.id
     WHERE (
               c.status = 'running'
               AND (h.status <> 'error' OR h.deleted_at IS NOT NULL)
               AND NOT EXISTS (
                       SELECT FROM campaign_batches b
                        WHERE b.org_id = c.org_id AND b.campaign_id = c.id AND b.token IS NOT NULL AND b.due_at > now()
                   )
           )
        OR (c.status = 'cancelled' AND n.pending > 0)
     LIMIT max
$$;
SELECT hand_to_directory('find_waiting_campaigns(integer)');
