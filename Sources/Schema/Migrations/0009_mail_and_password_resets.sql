-- Mail to members, and the tokens that let a member set another password.

-- Each mail is a row until some days after it was sent; the job that sends it only names the row. `content` is the mail's
-- text, sealed, since it may hold a token; it goes as soon as nobody needs it any more.
CREATE TABLE mails (
    org_id uuid NOT NULL REFERENCES organisations (id),
    id uuid NOT NULL DEFAULT uuid_v7(),
    recipient text NOT NULL,
    content bytea,
    status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'sent', 'failed')),
    -- Sending: tries begun; not before when the next one may begin; who is at it, and until when that holds.
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    lease uuid,
    leased_until timestamptz,
    -- What went wrong last.
    error text,
    -- When what the mail says has lost its worth.
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz,
    PRIMARY KEY (org_id, id),
    CHECK ((status = 'queued') = (content IS NOT NULL)),
    CHECK ((status = 'sent') = (sent_at IS NOT NULL)),
    CHECK ((lease IS NULL) = (leased_until IS NULL))
);
CREATE INDEX mails_queued ON mails (org_id, next_attempt_at, id) WHERE status = 'queued';
CREATE INDEX mails_by_creation ON mails (org_id, created_at, id);
SELECT protect_table('mails', 'SELECT, INSERT, UPDATE, DELETE');
SELECT open_to_directory('mails', 'SELECT (org_id, id, status, next_attempt_at, leased_until, created_at)');

-- Known by their SHA-256 alone. A token names its organisation itself, so no directory leads to it; using it deletes its row.
CREATE TABLE password_resets (
    org_id uuid NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    user_id uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, hash),
    FOREIGN KEY (org_id, user_id) REFERENCES users (org_id, id)
);
CREATE INDEX password_resets_by_user ON password_resets (org_id, user_id);
CREATE INDEX password_resets_by_expiry ON password_resets (org_id, expires_at);
SELECT protect_table('password_resets', 'SELECT, INSERT, DELETE');
SELECT open_to_directory('password_resets', 'SELECT (org_id, expires_at)');

-- Mails that might have been tried for longer than `older_than` and that nobody is at. Their job may have been lost.
CREATE FUNCTION find_waiting_mails(older_than interval, max integer DEFAULT 1000)
    RETURNS TABLE (org_id uuid, mail_id uuid)
    LANGUAGE sql STABLE
AS $$
    SELECT m.org_id, m.id
      FROM mails m
     WHERE m.status = 'queued' AND m.next_attempt_at < now() - older_than
       AND (m.leased_until IS NULL OR m.leased_until < now())
     ORDER BY m.next_attempt_at
     LIMIT max
$$;
SELECT hand_to_directory('find_waiting_mails(interval, integer)');

-- Organisations that hold mails of before `mails_before` that are done with, or password resets past their time.
CREATE FUNCTION find_organisations_with_old_mail(mails_before timestamptz)
    RETURNS TABLE (org_id uuid)
    LANGUAGE sql STABLE
AS $$
    SELECT o.id
      FROM organisations o
     WHERE EXISTS (SELECT FROM mails m WHERE m.org_id = o.id AND m.created_at < mails_before AND m.status <> 'queued')
        OR EXISTS (SELECT FROM password_resets r WHERE r.org_id = o.id AND r.expires_at <= now())
     ORDER BY o.id
$$;
SELECT hand_to_directory('find_organisations_with_old_mail(timestamptz)');
