-- Outgoing webhooks: who wants to hear of which events, how far an organisation's events have been handed out, and what
-- became of each delivery.

CREATE TABLE webhook_endpoints (
    org_id uuid NOT NULL REFERENCES organisations (id),
    id uuid NOT NULL DEFAULT uuid_v7(),
    url text NOT NULL,
    events text[] NOT NULL CHECK (cardinality(events) > 0),
    description text,
    -- Sealed. The one before signs too until its time has passed, so that a receiver can change over.
    secret bytea NOT NULL,
    old_secret bytea,
    old_secret_until timestamptz,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
    status_reason text,
    -- When the first of the failures began that no success has followed.
    failing_since timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, id)
);
CREATE INDEX webhook_endpoints_by_creation ON webhook_endpoints (org_id, created_at, id);
SELECT protect_table('webhook_endpoints', 'SELECT, INSERT, UPDATE, DELETE');
SELECT open_to_directory('webhook_endpoints', 'SELECT (org_id, id, status)');

-- One row for an organisation that ever had an endpoint: its events up to here, in commit order, have their deliveries.
CREATE TABLE webhook_positions (
    org_id uuid NOT NULL REFERENCES organisations (id),
    xid xid8 NOT NULL,
    place bigint NOT NULL,
    PRIMARY KEY (org_id)
);
SELECT protect_table('webhook_positions', 'SELECT, INSERT, UPDATE');
SELECT open_to_directory('webhook_positions', 'SELECT (org_id, xid, place)');

-- One row for each event and endpoint. It names the event's object and holds nothing of it: what is sent is the object as
-- it is at that moment, and what has been erased is sent no more.
CREATE TABLE webhook_deliveries (
    org_id uuid NOT NULL,
    id uuid NOT NULL DEFAULT uuid_v7(),
    endpoint_id uuid NOT NULL,
    xid xid8 NOT NULL,
    place bigint NOT NULL,
    type text NOT NULL,
    object uuid NOT NULL,
    at timestamptz NOT NULL,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    -- Of a pending one; whoever sends it moves it ahead first, so that nobody else does.
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    first_attempted_at timestamptz,
    last_attempted_at timestamptz,
    response_status integer,
    error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    delivered_at timestamptz,
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id, endpoint_id) REFERENCES webhook_endpoints (org_id, id) ON DELETE CASCADE,
    UNIQUE (org_id, endpoint_id, xid, place)
);
CREATE INDEX webhook_deliveries_by_creation ON webhook_deliveries (org_id, endpoint_id, created_at, id);
CREATE INDEX webhook_deliveries_by_status ON webhook_deliveries (org_id, endpoint_id, status, created_at, id);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (org_id, next_attempt_at) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (org_id, created_at);
SELECT protect_table('webhook_deliveries', 'SELECT, INSERT, UPDATE, DELETE');
SELECT open_to_directory('webhook_deliveries', 'SELECT (org_id, endpoint_id, status, next_attempt_at)');

-- Organisations with an endpoint that wants events.
CREATE FUNCTION find_webhook_organisations()
    RETURNS TABLE (org_id uuid)
    LANGUAGE sql STABLE
AS $$
    SELECT DISTINCT e.org_id FROM webhook_endpoints e WHERE e.status = 'active'
$$;
SELECT hand_to_directory('find_webhook_organisations()');

-- Those of them with something to do: an event that has no deliveries yet, or a delivery that is due.
CREATE FUNCTION find_waiting_webhooks()
    RETURNS TABLE (org_id uuid)
    LANGUAGE sql STABLE
AS $$
    SELECT o.org_id
      FROM find_webhook_organisations() o
     WHERE EXISTS (
               SELECT FROM webhook_deliveries d
                WHERE d.org_id = o.org_id AND d.status = 'pending' AND d.next_attempt_at <= now()
           )
        OR EXISTS (
               SELECT FROM webhook_positions p
                 JOIN events e ON e.org_id = p.org_id AND (e.xid, e.id) > (p.xid, p.place)
                WHERE p.org_id = o.org_id
           )
$$;
SELECT hand_to_directory('find_waiting_webhooks()');
GRANT EXECUTE ON FUNCTION find_webhook_organisations() TO delightchat_directory;
