-- Analytics: what happened in each quarter hour (UTC), added up from the events in the order in which they were committed. Days
-- and weeks of any zone consist of whole quarter hours, since every zone's offset is a multiple of fifteen minutes.

-- How often something happened: tickets that were created (by channel and their priority now), closed (by channel and assignee at
-- that moment) and reopened; messages of tickets that came in, went out (by who wrote) and failed.
CREATE TABLE analytics_counts (
    org_id uuid NOT NULL,
    measure text NOT NULL CHECK (measure IN ('created', 'closed', 'reopened', 'inbound', 'outbound', 'failed')),
    at timestamptz NOT NULL,
    channel_id uuid NOT NULL,
    user_id uuid,
    priority smallint,
    count bigint NOT NULL,
    UNIQUE NULLS NOT DISTINCT (org_id, measure, at, channel_id, user_id, priority),
    FOREIGN KEY (org_id, channel_id) REFERENCES channels (org_id, id),
    FOREIGN KEY (org_id, user_id) REFERENCES users (org_id, id)
) WITH (fillfactor = 80);
SELECT protect_table('analytics_counts', 'SELECT, INSERT, UPDATE');

-- How long something took, as a histogram: `bucket` b holds durations d with 1.03^(b-1) < d ≤ 1.03^b milliseconds, so what it says of
-- one is at most 1.5 % off; `milliseconds` is their exact sum. First responses by who wrote them, when they did; resolutions by
-- the assignee at closing.
CREATE TABLE analytics_durations (
    org_id uuid NOT NULL,
    measure text NOT NULL CHECK (measure IN ('first_response', 'resolution')),
    at timestamptz NOT NULL,
    channel_id uuid NOT NULL,
    user_id uuid,
    bucket smallint NOT NULL,
    count bigint NOT NULL,
    milliseconds bigint NOT NULL,
    UNIQUE NULLS NOT DISTINCT (org_id, measure, at, channel_id, user_id, bucket),
    FOREIGN KEY (org_id, channel_id) REFERENCES channels (org_id, id),
    FOREIGN KEY (org_id, user_id) REFERENCES users (org_id, id)
) WITH (fillfactor = 80);
SELECT protect_table('analytics_durations', 'SELECT, INSERT, UPDATE');

-- The last event that was added up. It moves in the transaction that adds, so each event counts once.
CREATE TABLE analytics_positions (
    org_id uuid PRIMARY KEY REFERENCES organisations (id),
    xid xid8 NOT NULL DEFAULT '0',
    last_event bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
SELECT protect_table('analytics_positions', 'SELECT, INSERT, UPDATE');
SELECT open_to_directory('analytics_positions', 'SELECT (org_id, xid, last_event)');

-- The next events of the entered organisation in commit order, by key. Comparing xid8 isn't leakproof, so under a policy it would
-- use no index; here none is in the way, and app.org_id is read instead.
CREATE FUNCTION find_events_after(after xid8, after_event bigint, max integer)
    RETURNS TABLE (event_xid xid8, event_id bigint, event_at timestamptz)
    LANGUAGE sql STABLE
AS $$
    SELECT e.xid, e.id, e.at
      FROM events e
     WHERE e.org_id = nullif(current_setting('app.org_id', true), '')::uuid
       AND (e.xid, e.id) > (after, after_event)
       AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
     ORDER BY e.xid, e.id
     LIMIT max
$$;
SELECT hand_to_directory('find_events_after(xid8, bigint, integer)');

-- Organisations with events that haven't been added up.
CREATE FUNCTION find_organisations_to_roll_up()
    RETURNS TABLE (org_id uuid)
    LANGUAGE sql STABLE
AS $$
    SELECT o.id
      FROM organisations o
      LEFT JOIN analytics_positions p ON p.org_id = o.id
     WHERE EXISTS (
               SELECT FROM events e
                WHERE e.org_id = o.id AND (e.xid, e.id) > (coalesce(p.xid, '0'::xid8), coalesce(p.last_event, 0))
                  AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
           )
     ORDER BY o.id
$$;
SELECT hand_to_directory('find_organisations_to_roll_up()');

-- Adds up to `max` events of the entered organisation and returns how many; 0 also when somebody else is at it. What an event
-- doesn't say of its ticket or message is read from columns that never change.
CREATE FUNCTION roll_up_events(org uuid, max integer) RETURNS integer
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    ranks constant text[] := ARRAY['low', 'normal', 'high', 'urgent'];
    place record;
    read_events bigint[];
    new_xid xid8;
    new_event bigint;
BEGIN
    INSERT INTO analytics_positions (org_id) VALUES (org) ON CONFLICT (org_id) DO NOTHING;
    SELECT p.xid, p.last_event INTO place FROM analytics_positions p WHERE p.org_id = org FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    SELECT array_agg(f.event_id), (array_agg(f.event_xid ORDER BY f.event_xid DESC, f.event_id DESC))[1],
           (array_agg(f.event_id ORDER BY f.event_xid DESC, f.event_id DESC))[1]
      INTO read_events, new_xid, new_event
      FROM find_events_after(place.xid, place.last_event, max) f;
    IF read_events IS NULL THEN
        RETURN 0;
    END IF;

    WITH tickets_told AS (
        SELECT e.type, e.payload, e.at, t.created_at, t.channel_id
          FROM events e
          JOIN tickets t ON t.org_id = e.org_id AND t.id = e.entity_id
         WHERE e.org_id = org AND e.id = ANY (read_events) AND e.type IN ('ticket.created', 'ticket.updated')
    ),
    messages_told AS (
        SELECT e.type, e.payload, m.created_at, m.channel_id, m.direction, m.status,
               CASE WHEN m.author_type = 'user' THEN m.author_id END AS user_id
          FROM events e
          JOIN messages m ON m.org_id = e.org_id AND m.id = e.entity_id
         WHERE e.org_id = org AND e.id = ANY (read_events) AND e.type IN ('message.created', 'message.updated')
           AND m.author_type <> 'campaign' AND m.direction <> 'note'
    ),
    facts AS (
        SELECT 'created' AS measure, k.created_at AS at, k.channel_id, NULL::uuid AS user_id,
               coalesce(array_position(ranks, k.payload ->> 'priority'), 2) - 1 AS priority, 1 AS count
          FROM tickets_told k WHERE k.type = 'ticket.created'
        UNION ALL
        SELECT 'created', k.created_at, k.channel_id, NULL, array_position(ranks, p.priority) - 1, p.count
          FROM tickets_told k
         CROSS JOIN LATERAL (
               VALUES (k.payload -> 'priority' ->> 'from', -1), (k.payload -> 'priority' ->> 'to', 1)
               ) AS p (priority, count)
         WHERE k.type = 'ticket.updated' AND jsonb_typeof(k.payload -> 'priority') = 'object'
        UNION ALL
        SELECT 'closed', k.at, k.channel_id, (k.payload ->> 'assigneeId')::uuid, NULL, 1
          FROM tickets_told k
         WHERE k.type = 'ticket.updated' AND k.payload -> 'status' ->> 'to' = 'closed'
           AND k.payload -> 'status' ->> 'from' <> 'closed'
        UNION ALL
        SELECT 'reopened', k.at, k.channel_id, NULL, NULL, 1
          FROM tickets_told k
         WHERE k.type = 'ticket.updated' AND k.payload -> 'status' ->> 'from' = 'closed'
           AND k.payload -> 'status' ->> 'to' <> 'closed'
        UNION ALL
        SELECT m.direction, m.created_at, m.channel_id, CASE WHEN m.direction = 'outbound' THEN m.user_id END, NULL, 1
          FROM messages_told m WHERE m.type = 'message.created'
        UNION ALL
        SELECT 'failed', m.created_at, m.channel_id, NULL, NULL, 1
          FROM messages_told m WHERE m.type = 'message.updated' AND m.payload ->> 'status' = 'failed'
    )
    INSERT INTO analytics_counts AS c (org_id, measure, at, channel_id, user_id, priority, count)
    SELECT org, f.measure, date_bin('15 minutes', f.at, timestamptz '2000-01-01 00:00Z'), f.channel_id, f.user_id, f.priority,
           sum(f.count)
      FROM facts f
     GROUP BY 2, 3, 4, 5, 6
     ORDER BY 2, 3, 4, 5, 6
    ON CONFLICT (org_id, measure, at, channel_id, user_id, priority) DO UPDATE SET count = c.count + excluded.count;

    WITH facts AS (
        SELECT 'resolution' AS measure, e.at, t.channel_id, (e.payload ->> 'assigneeId')::uuid AS user_id,
               extract(epoch FROM e.at - t.created_at) * 1000 AS milliseconds
          FROM events e
          JOIN tickets t ON t.org_id = e.org_id AND t.id = e.entity_id
         WHERE e.org_id = org AND e.id = ANY (read_events) AND e.type = 'ticket.updated'
           AND e.payload -> 'status' ->> 'to' = 'closed' AND e.payload -> 'status' ->> 'from' <> 'closed'
        UNION ALL
        SELECT 'first_response', m.created_at, m.channel_id, CASE WHEN m.author_type = 'user' THEN m.author_id END,
               extract(epoch FROM m.created_at - t.created_at) * 1000
          FROM events e
          JOIN messages m ON m.org_id = e.org_id AND m.id = e.entity_id
          JOIN tickets t ON t.org_id = m.org_id AND t.id = m.ticket_id AND t.first_response_at = m.created_at
         WHERE e.org_id = org AND e.id = ANY (read_events) AND e.type = 'message.created'
           AND m.direction = 'outbound' AND m.author_type <> 'campaign'
    )
    INSERT INTO analytics_durations AS d (org_id, measure, at, channel_id, user_id, bucket, count, milliseconds)
    SELECT org, f.measure, date_bin('15 minutes', f.at, timestamptz '2000-01-01 00:00Z'), f.channel_id, f.user_id,
           ceil(ln(greatest(f.milliseconds, 1)) / ln(1.03)), count(*), round(sum(greatest(f.milliseconds, 0)))
      FROM facts f
     GROUP BY 2, 3, 4, 5, 6
     ORDER BY 2, 3, 4, 5, 6
    ON CONFLICT (org_id, measure, at, channel_id, user_id, bucket) DO UPDATE
       SET count = d.count + excluded.count, milliseconds = d.milliseconds + excluded.milliseconds;

    UPDATE analytics_positions p SET xid = new_xid, last_event = new_event WHERE p.org_id = org;
    RETURN cardinality(read_events);
END
$$;
GRANT EXECUTE ON FUNCTION roll_up_events(uuid, integer) TO delightchat_app;

-- The share `portion` of a histogram, in seconds, by nearest rank; NULL for an empty one.
CREATE FUNCTION percentile_of(buckets smallint[], counts bigint[], portion double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE
AS $$
    SELECT power(1.03::double precision, min(x.bucket) - 0.5) / 1000
      FROM (
            SELECT u.bucket, sum(u.count) OVER (ORDER BY u.bucket) AS up_to, sum(u.count) OVER () AS total
              FROM unnest(buckets, counts) AS u (bucket, count)
           ) x
     WHERE x.up_to >= ceil(x.total * portion)
$$;
GRANT EXECUTE ON FUNCTION percentile_of(smallint[], bigint[], double precision) TO delightchat_app;
