-- What became of the schedules. Redis says when each is due next and may forget; that a fire has been, and which were
-- missed, must not be forgotten. A row for each schedule and nobody's in particular, so it has no organisation.
CREATE TABLE schedules (
    name text PRIMARY KEY,
    -- The fire that began last, by the time for which it was set.
    due_at timestamptz NOT NULL,
    began_at timestamptz NOT NULL,
    -- NULL while it runs, or when its process died.
    ended_at timestamptz,
    error text,
    fires bigint NOT NULL DEFAULT 1,
    failures bigint NOT NULL DEFAULT 0,
    -- Left out because the fire before was still running.
    skipped bigint NOT NULL DEFAULT 0,
    -- Never begun because nobody was there; the newest of them.
    missed bigint NOT NULL DEFAULT 0,
    missed_at timestamptz
);

REVOKE ALL ON schedules FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON schedules TO delightchat_app;
