-- What looks at more than a policy lets an index see (the search), and what looks beyond one organisation (the sweeps).

SELECT open_to_directory(
    'tickets',
    'SELECT (org_id, id, channel_id, contact_id, assignee_id, status, priority, last_message_at, created_at, search)'
);
SELECT open_to_directory('ticket_tags', 'SELECT (org_id, ticket_id, tag)');
SELECT open_to_directory(
    'messages',
    'SELECT (org_id, id, ticket_id, channel_id, status, accepted_at, created_at, next_attempt_at, search)'
);
SELECT open_to_directory('delivery_leases', 'SELECT (org_id, ticket_id, expires_at)');

-- The tickets of the entered organisation whose subject, contact or message text matches, in the list's order: ids to
-- be read again under row-level security, with the place of each. `@@` is not leakproof and so uses no index under a
-- policy; here none is in the way, and app.org_id is read instead. Looks at the newest 10,000 matches of each kind.
--
-- A filter that is NULL does not filter; unassigned => true asks for tickets without assignee. `sort` is one of the
-- list's, and the after_… are the sort key of the last ticket of the page before, NULL for the first page
-- (after_priority only for -priority). `-priority` sorts by priority, then last_message_at.
CREATE FUNCTION search_tickets(
    query text,
    statuses text[] DEFAULT NULL,
    priorities smallint[] DEFAULT NULL,
    channels uuid[] DEFAULT NULL,
    tags text[] DEFAULT NULL,
    assignee uuid DEFAULT NULL,
    unassigned boolean DEFAULT false,
    contact uuid DEFAULT NULL,
    created_from timestamptz DEFAULT NULL,
    created_to timestamptz DEFAULT NULL,
    sort text DEFAULT '-lastMessageAt',
    after_priority smallint DEFAULT NULL,
    after_at timestamptz DEFAULT NULL,
    after_id uuid DEFAULT NULL,
    max integer DEFAULT 10000
)
    RETURNS TABLE (ticket_id uuid, place bigint)
    LANGUAGE plpgsql STABLE
    SET plan_cache_mode = force_custom_plan
    SET enable_hashjoin = off
    SET enable_mergejoin = off
AS $$
DECLARE
    org uuid := nullif(current_setting('app.org_id', true), '')::uuid;
    wanted tsquery := websearch_to_tsquery('simple', query);
    descending boolean := sort LIKE '-%';
    by_creation boolean := sort IN ('-createdAt', 'createdAt');
    by_priority boolean := sort = '-priority';
    hits uuid[];
BEGIN
    IF sort NOT IN ('-lastMessageAt', 'lastMessageAt', '-createdAt', 'createdAt', '-priority') THEN
        RAISE EXCEPTION 'unknown sort %', sort USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF org IS NULL OR numnode(wanted) = 0 THEN
        RETURN;
    END IF;
    -- First the matches, as an array; then just their tickets, one look-up each. In one statement the planner's guess
    -- of a word (one row in 200) has it read every ticket of the organisation, and so would a join by hash of 10,000.
    hits := ARRAY(
        (SELECT t.id FROM tickets t
          WHERE t.org_id = org AND t.search @@ wanted
          ORDER BY t.last_message_at DESC
          LIMIT 10000)
        UNION
        (SELECT t.id
           FROM (
                SELECT c.id FROM contacts c
                 WHERE c.org_id = org AND c.search @@ wanted
                 ORDER BY c.created_at DESC
                 LIMIT 10000
                ) c
           JOIN tickets t ON t.org_id = org AND t.contact_id = c.id
          ORDER BY t.last_message_at DESC
          LIMIT 10000)
        UNION
        (SELECT m.ticket_id FROM messages m
          WHERE m.org_id = org AND m.search @@ wanted AND m.ticket_id IS NOT NULL
          ORDER BY m.accepted_at DESC
          LIMIT 10000)
    );
    RETURN QUERY
    WITH keyed AS (
        SELECT t.id, t.priority, CASE WHEN by_creation THEN t.created_at ELSE t.last_message_at END AS at
          FROM unnest(hits) AS h (id)
          JOIN tickets t ON t.org_id = org AND t.id = h.id
         WHERE (statuses IS NULL OR t.status = ANY (statuses))
           AND (priorities IS NULL OR t.priority = ANY (priorities))
           AND (search_tickets.channels IS NULL OR t.channel_id = ANY (search_tickets.channels))
           AND (assignee IS NULL OR t.assignee_id = assignee)
           AND (unassigned IS NOT TRUE OR t.assignee_id IS NULL)
           AND (contact IS NULL OR t.contact_id = contact)
           AND (created_from IS NULL OR t.created_at >= created_from)
           AND (created_to IS NULL OR t.created_at < created_to)
           AND (
               tags IS NULL
               OR EXISTS (SELECT FROM ticket_tags g WHERE g.org_id = org AND g.ticket_id = t.id AND g.tag = ANY (tags))
           )
    ),
    page AS (
        SELECT k.id, k.priority, k.at
          FROM keyed k
         WHERE after_id IS NULL
            OR CASE
                   WHEN by_priority THEN (k.priority, k.at, k.id) < (after_priority, after_at, after_id)
                   WHEN descending THEN (k.at, k.id) < (after_at, after_id)
                   ELSE (k.at, k.id) > (after_at, after_id)
               END
    )
    SELECT p.id,
           row_number() OVER (
               ORDER BY CASE WHEN by_priority THEN p.priority END DESC,
                        CASE WHEN descending THEN p.at END DESC,
                        CASE WHEN descending THEN p.id END DESC,
                        p.at,
                        p.id
           )
      FROM page p
     ORDER BY 2
     LIMIT max;
END
$$;
SELECT hand_to_directory(
    'search_tickets(text, text[], smallint[], uuid[], text[], uuid, boolean, uuid, timestamptz, timestamptz, text,
        smallint, timestamptz, uuid, integer)'
);

-- The contacts of the entered organisation that match, newest first.
CREATE FUNCTION search_contacts(query text, max integer DEFAULT 10000)
    RETURNS TABLE (contact_id uuid)
    LANGUAGE plpgsql STABLE
    SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    org uuid := nullif(current_setting('app.org_id', true), '')::uuid;
    wanted tsquery := websearch_to_tsquery('simple', query);
BEGIN
    IF org IS NULL OR numnode(wanted) = 0 THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT c.id FROM contacts c
     WHERE c.org_id = org AND c.search @@ wanted
     ORDER BY c.created_at DESC, c.id DESC
     LIMIT max;
END
$$;
SELECT hand_to_directory('search_contacts(text, integer)');

-- Work across organisations gets pairs of ids from here and nothing else, then enters one organisation at a time.

-- Every organisation, a page at a time: those after `after`, by id.
CREATE FUNCTION list_organisations(after uuid DEFAULT NULL, max integer DEFAULT 1000)
    RETURNS TABLE (org_id uuid)
    LANGUAGE sql STABLE
AS $$
    SELECT o.id FROM organisations o WHERE after IS NULL OR o.id > after ORDER BY o.id LIMIT max
$$;
SELECT hand_to_directory('list_organisations(uuid, integer)');

-- Tickets whose oldest queued message has waited for longer than `older_than` past the moment when it might have been
-- tried, whom nobody is sending at present, and whose channel may send. Their job may have been lost.
CREATE FUNCTION find_waiting_tickets(older_than interval, max integer DEFAULT 1000)
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
     WHERE w.since < now() - older_than
       AND NOT EXISTS (
               SELECT FROM delivery_leases l
                WHERE l.org_id = w.org_id AND l.ticket_id = w.ticket_id AND l.expires_at >= now()
           )
     ORDER BY w.since
     LIMIT max
$$;
SELECT hand_to_directory('find_waiting_tickets(interval, integer)');

-- Pending invites whose time has passed.
CREATE FUNCTION find_expired_invites(max integer DEFAULT 1000)
    RETURNS TABLE (org_id uuid, invite_id uuid)
    LANGUAGE sql STABLE
AS $$
    SELECT i.org_id, i.id
      FROM invites i
     WHERE i.status = 'pending' AND i.expires_at <= now()
     ORDER BY i.expires_at
     LIMIT max
$$;
SELECT hand_to_directory('find_expired_invites(integer)');

-- Organisations that hold rows past their time: idempotency keys, sessions and unprocessed events by their expires_at,
-- early statuses after 24 h, events before `events_before`.
CREATE FUNCTION find_organisations_to_purge(events_before timestamptz)
    RETURNS TABLE (org_id uuid)
    LANGUAGE sql STABLE
AS $$
    SELECT o.id
      FROM organisations o
     WHERE EXISTS (SELECT FROM idempotency_keys k WHERE k.org_id = o.id AND k.expires_at <= now())
        OR EXISTS (SELECT FROM sessions s WHERE s.org_id = o.id AND s.expires_at <= now())
        OR EXISTS (SELECT FROM unprocessed_events e WHERE e.org_id = o.id AND e.expires_at <= now())
        OR EXISTS (SELECT FROM early_statuses e WHERE e.org_id = o.id AND e.created_at <= now() - interval '24 hours')
        OR EXISTS (SELECT FROM events e WHERE e.org_id = o.id AND e.at < events_before)
     ORDER BY o.id
$$;
SELECT hand_to_directory('find_organisations_to_purge(timestamptz)');
