-- What happened, who did it, and which requests have been answered.

-- Written in the transaction of every change. Read in commit order: (xid, id) rising, and only below
-- pg_snapshot_xmin(pg_current_snapshot()), since a transaction that began earlier may still commit below what is seen
-- now. xid is the cluster's: after a dump is restored into another one, the table has to be emptied before the first
-- write.
CREATE TABLE events (
    org_id uuid NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    type text NOT NULL,
    entity_id uuid NOT NULL,
    ticket_id uuid,
    payload jsonb NOT NULL DEFAULT '{}',
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, id)
);
CREATE INDEX events_in_commit_order ON events (org_id, xid, id);
CREATE INDEX events_by_time ON events (org_id, at);
SELECT protect_table('events', 'SELECT, INSERT, DELETE');
SELECT open_to_directory('events', 'SELECT (org_id, id, xid, at)');

-- Who changed what. Refers to rows by value: an entry outlives what it is about.
CREATE TABLE audit (
    org_id uuid NOT NULL,
    id uuid NOT NULL DEFAULT uuid_v7(),
    actor_type text NOT NULL CHECK (actor_type IN ('user', 'api_key', 'system')),
    actor_id uuid,
    actor_name text,
    action text NOT NULL,
    entity_type text NOT NULL,
    entity_id uuid,
    changes jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(changes) = 'object'),
    ip text,
    user_agent text,
    request_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, id),
    CHECK (entity_type = split_part(action, '.', 1))
);
CREATE INDEX audit_by_time ON audit (org_id, created_at, id);
CREATE INDEX audit_by_action ON audit (org_id, action, created_at, id);
CREATE INDEX audit_by_actor ON audit (org_id, actor_id, created_at, id);
CREATE INDEX audit_by_entity ON audit (org_id, entity_type, entity_id, created_at, id);
SELECT protect_table('audit', 'SELECT, INSERT');

-- The application has no grant to change an entry; this stops the owner's hand too.
CREATE FUNCTION refuse_change() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: entries are never changed', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- One row per Idempotency-Key in use. A row without a status is a claim: a request runs under it, and once it is older
-- than that function's timeout another may take it over by changing `claim`. The answer commits with the change that it
-- tells of.
CREATE TABLE idempotency_keys (
    org_id uuid NOT NULL,
    -- The user's or the API key's id.
    principal uuid NOT NULL,
    -- SHA-256 of the method, the path and the key; and of the request's body.
    key_hash bytea NOT NULL CHECK (octet_length(key_hash) = 32),
    request_hash bytea NOT NULL CHECK (octet_length(request_hash) = 32),
    claim uuid NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    status smallint CHECK (status BETWEEN 200 AND 499),
    headers jsonb,
    -- The answer's body, sealed; NULL where it is empty.
    answer bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL DEFAULT now() + interval '24 hours',
    PRIMARY KEY (org_id, principal, key_hash)
);
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (org_id, expires_at);
SELECT protect_table('idempotency_keys', 'SELECT, INSERT, UPDATE, DELETE');
SELECT open_to_directory('idempotency_keys', 'SELECT (org_id, expires_at)');

-- Inbound jobs that failed for good, kept 30 days so that they can be played again. `data` is the job's, byte for byte:
-- text and not jsonb, which refuses the \u0000 that may be the very fault.
CREATE TABLE unprocessed_events (
    org_id uuid NOT NULL REFERENCES organisations (id),
    id uuid NOT NULL DEFAULT uuid_v7(),
    channel_id uuid,
    queue text NOT NULL,
    job_id text NOT NULL,
    job_name text NOT NULL,
    data text NOT NULL,
    reason text NOT NULL,
    attempts integer NOT NULL,
    accepted_at bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    replayed_at timestamptz,
    expires_at timestamptz NOT NULL DEFAULT now() + interval '30 days',
    PRIMARY KEY (org_id, id),
    -- A job's id alone comes again when Redis has been emptied.
    UNIQUE (org_id, queue, job_id, accepted_at),
    FOREIGN KEY (org_id, channel_id) REFERENCES channels (org_id, id)
);
CREATE INDEX unprocessed_events_by_creation ON unprocessed_events (org_id, created_at, id);
CREATE INDEX unprocessed_events_by_expiry ON unprocessed_events (org_id, expires_at);
SELECT protect_table('unprocessed_events', 'SELECT, INSERT, UPDATE, DELETE');
SELECT open_to_directory('unprocessed_events', 'SELECT (org_id, expires_at)');
