-- What waits for evidence, or was left by a process that died, keeps nobody from going on with a campaign.
--
-- A range counts as being sent only while its holder has taken a step lately. Whether it holds attempts without an answer is read
-- from the recipients: a range with one is given back like any other, and looked into when the lease that it had has run out.

-- As before, but for that. `is_orphaned` tells of attempts without an answer, whoever left them.
CREATE OR REPLACE FUNCTION claim_campaign_batch(org uuid, campaign uuid, holder uuid, size integer, most integer, lease interval)
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
         WHERE b.org_id = org AND b.campaign_id = campaign AND b.token IS NOT NULL
           AND b.due_at > clock_timestamp() + lease - interval '5 seconds'
       ) >= most
    THEN
        state := 'busy';
        RETURN NEXT;
        RETURN;
    END IF;
    SELECT b.first_position, b.last_position INTO first_position, last_position
      FROM campaign_batches b
     WHERE b.org_id = org AND b.campaign_id = campaign AND b.due_at <= clock_timestamp()
     ORDER BY b.due_at
     LIMIT 1
       FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
        UPDATE campaign_batches b
           SET token = holder, due_at = clock_timestamp() + lease
         WHERE b.org_id = org AND b.campaign_id = campaign AND b.first_position = claim_campaign_batch.first_position;
        is_orphaned := EXISTS (
            SELECT FROM campaign_recipients r
             WHERE r.org_id = org AND r.campaign_id = campaign AND r.status = 'pending'
               AND r.position BETWEEN claim_campaign_batch.first_position AND claim_campaign_batch.last_position
               AND r.attempts > 0 AND r.next_attempt_at IS NULL
        );
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

-- Gives a range back: it goes when everybody in it has ended, waits for who is to be tried again, and until its lease has run out
-- where an attempt has no answer.
CREATE OR REPLACE FUNCTION finish_campaign_batch(org uuid, campaign uuid, holder uuid, first bigint, last bigint) RETURNS void
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
    ELSE
        UPDATE campaign_batches b
           SET token = NULL, due_at = CASE WHEN unanswered = 0 THEN next ELSE b.due_at END
         WHERE b.org_id = org AND b.campaign_id = campaign AND b.first_position = first AND b.token = holder;
    END IF;
END
$$;

-- For the schedule: campaigns that less than `most` are at and that somebody has left without giving back what they had.
CREATE FUNCTION find_deserted_campaigns(most integer, lease interval, max integer DEFAULT 1000)
    RETURNS TABLE (org_id uuid, campaign_id uuid)
    LANGUAGE sql STABLE
AS $$
    SELECT c.org_id, c.id
      FROM campaigns c
      JOIN channels h ON h.org_id = c.org_id AND h.id = c.channel_id AND h.status <> 'error' AND h.deleted_at IS NULL
      JOIN LATERAL (
               SELECT count(*) AS held, count(*) FILTER (WHERE b.due_at > now() + lease - interval '5 seconds') AS at_work
                 FROM campaign_batches b
                WHERE b.org_id = c.org_id AND b.campaign_id = c.id AND b.token IS NOT NULL
           ) n ON n.at_work < least(most, n.held)
     WHERE c.status = 'running'
     LIMIT max
$$;
SELECT hand_to_directory('find_deserted_campaigns(integer, interval, integer)');
