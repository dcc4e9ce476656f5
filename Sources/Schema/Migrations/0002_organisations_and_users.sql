-- Organisations, their members, sessions and invites; and the three directories that lead from an e-mail address, a
-- refresh token or an invite to the organisation that it belongs to, which nobody knows before log-in.

CREATE TABLE organisations (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    name text NOT NULL,
    slug text NOT NULL,
    timezone text NOT NULL DEFAULT 'UTC',
    settings jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(settings) = 'object'),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
SELECT protect_table('organisations', 'SELECT, INSERT, UPDATE', key => 'id');
SELECT open_to_directory('organisations', 'SELECT (id)');

CREATE TABLE users (
    org_id uuid NOT NULL REFERENCES organisations (id),
    id uuid NOT NULL DEFAULT uuid_v7(),
    email text NOT NULL,
    email_folded text NOT NULL GENERATED ALWAYS AS (fold(email)) STORED,
    name text NOT NULL,
    name_folded text NOT NULL GENERATED ALWAYS AS (fold(name)) STORED,
    role text NOT NULL CHECK (role IN ('admin', 'agent')),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'deactivated')),
    password_hash text NOT NULL,
    last_login_at timestamptz,
    -- Whose turn it is under round_robin: the active agent who waited longest.
    last_assigned_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, id),
    UNIQUE (org_id, email_folded)
);
CREATE INDEX users_by_name ON users (org_id, name_folded, id);
SELECT protect_table('users', 'SELECT, INSERT, UPDATE');
SELECT open_to_directory(
    'users',
    'SELECT (org_id, id, email, name, role, status, password_hash, last_login_at, created_at)'
);

-- A session is the family of refresh tokens that began with one log-in; its id is the `sid` of the access tokens.
CREATE TABLE sessions (
    org_id uuid NOT NULL,
    id uuid NOT NULL DEFAULT uuid_v7(),
    user_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    refreshed_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    revoked_reason text
        CHECK (revoked_reason IN ('logout', 'token_reuse', 'deactivated', 'password_reset', 'password_change')),
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id, user_id) REFERENCES users (org_id, id),
    CHECK ((revoked_at IS NULL) = (revoked_reason IS NULL))
);
CREATE INDEX sessions_by_user ON sessions (org_id, user_id);
CREATE INDEX sessions_by_expiry ON sessions (org_id, expires_at);
SELECT protect_table('sessions', 'SELECT, INSERT, UPDATE, DELETE');
SELECT open_to_directory('sessions', 'SELECT (org_id, expires_at)');

-- Tokens are known by their SHA-256 alone. One that has been used names its successor, whose text is kept, sealed, only
-- where REFRESH_GRACE asks for it.
CREATE TABLE refresh_tokens (
    org_id uuid NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    session_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    successor_hash bytea CHECK (octet_length(successor_hash) = 32),
    successor_sealed bytea,
    PRIMARY KEY (org_id, hash),
    FOREIGN KEY (org_id, session_id) REFERENCES sessions (org_id, id) ON DELETE CASCADE
);
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (org_id, session_id);
SELECT protect_table('refresh_tokens', 'SELECT, INSERT, UPDATE, DELETE');

CREATE TABLE invites (
    org_id uuid NOT NULL,
    id uuid NOT NULL DEFAULT uuid_v7(),
    email text NOT NULL,
    email_folded text NOT NULL GENERATED ALWAYS AS (fold(email)) STORED,
    role text NOT NULL CHECK (role IN ('admin', 'agent')),
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'accepted', 'revoked', 'expired')),
    token_hash bytea NOT NULL CHECK (octet_length(token_hash) = 32),
    invited_by uuid NOT NULL,
    user_id uuid,
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id, invited_by) REFERENCES users (org_id, id),
    FOREIGN KEY (org_id, user_id) REFERENCES users (org_id, id),
    CHECK ((status = 'accepted') = (user_id IS NOT NULL))
);
CREATE UNIQUE INDEX invites_pending ON invites (org_id, email_folded) WHERE status = 'pending';
CREATE UNIQUE INDEX invites_by_token ON invites (org_id, token_hash);
CREATE INDEX invites_by_creation ON invites (org_id, created_at, id) WHERE status = 'pending';
CREATE INDEX invites_by_expiry ON invites (org_id, expires_at, id) WHERE status = 'pending';
SELECT protect_table('invites', 'SELECT, INSERT, UPDATE');
SELECT open_to_directory('invites', 'SELECT (org_id, id, email, role, status, token_hash, expires_at)');

-- The directories hold no tenant data, only the way to it. The application has no grant on them; triggers keep them.
CREATE TABLE email_directory (
    email_folded text PRIMARY KEY,
    org_id uuid NOT NULL,
    user_id uuid NOT NULL
);
CREATE INDEX email_directory_by_org ON email_directory (org_id, user_id);

CREATE TABLE refresh_directory (
    hash bytea PRIMARY KEY,
    org_id uuid NOT NULL
);
CREATE INDEX refresh_directory_by_org ON refresh_directory (org_id);

-- Holds pending invites alone.
CREATE TABLE invite_directory (
    hash bytea PRIMARY KEY,
    org_id uuid NOT NULL
);
CREATE INDEX invite_directory_by_org ON invite_directory (org_id);

ALTER TABLE email_directory ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE refresh_directory ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE invite_directory ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT open_to_directory('email_directory', 'SELECT, INSERT, UPDATE, DELETE');
SELECT open_to_directory('refresh_directory', 'SELECT, INSERT, DELETE');
SELECT open_to_directory('invite_directory', 'SELECT, INSERT, DELETE');

-- An address that is taken in any organisation fails here, on email_directory_pkey.
CREATE FUNCTION keep_email_directory() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO email_directory (email_folded, org_id, user_id) VALUES (fold(NEW.email), NEW.org_id, NEW.id);
    ELSIF TG_OP = 'UPDATE' THEN
        UPDATE email_directory SET email_folded = fold(NEW.email) WHERE email_folded = fold(OLD.email);
    ELSE
        DELETE FROM email_directory WHERE email_folded = fold(OLD.email);
    END IF;
    RETURN NULL;
END
$$;
SELECT hand_to_directory('keep_email_directory()');
CREATE TRIGGER keep_email_directory AFTER INSERT OR UPDATE OF email OR DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION keep_email_directory();

CREATE FUNCTION keep_refresh_directory() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO refresh_directory (hash, org_id) VALUES (NEW.hash, NEW.org_id);
    ELSE
        DELETE FROM refresh_directory WHERE hash = OLD.hash;
    END IF;
    RETURN NULL;
END
$$;
SELECT hand_to_directory('keep_refresh_directory()');
CREATE TRIGGER keep_refresh_directory AFTER INSERT OR DELETE ON refresh_tokens
    FOR EACH ROW EXECUTE FUNCTION keep_refresh_directory();

CREATE FUNCTION keep_invite_directory() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM invite_directory WHERE hash = OLD.token_hash;
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.status = 'pending' THEN
        INSERT INTO invite_directory (hash, org_id) VALUES (NEW.token_hash, NEW.org_id);
    END IF;
    RETURN NULL;
END
$$;
SELECT hand_to_directory('keep_invite_directory()');
CREATE TRIGGER keep_invite_directory AFTER INSERT OR UPDATE OF status, token_hash OR DELETE ON invites
    FOR EACH ROW EXECUTE FUNCTION keep_invite_directory();

-- Opens the database for a member's request until the transaction ends, or raises DC401: the user is not active, no
-- longer has the role that the access token says, or the session has ended. Meant to be the first statement of a
-- pipeline, so that what follows is aborted. Returns the member's name.
CREATE FUNCTION enter_organisation(org uuid, member uuid, session uuid, member_role text) RETURNS text
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    member_name text;
BEGIN
    PERFORM set_config('app.org_id', org::text, true);
    SELECT u.name
      INTO member_name
      FROM users u
      JOIN sessions s ON s.org_id = u.org_id AND s.user_id = u.id
     WHERE u.org_id = enter_organisation.org AND u.id = member AND u.status = 'active' AND u.role = member_role
       AND s.id = session AND s.revoked_at IS NULL AND s.expires_at > now();
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the session has ended' USING ERRCODE = 'DC401';
    END IF;
    RETURN member_name;
END
$$;
GRANT EXECUTE ON FUNCTION enter_organisation(uuid, uuid, uuid, text) TO delightchat_app;

-- What log-in needs to know of an address; no row for an unknown one.
CREATE FUNCTION find_login(address text)
    RETURNS TABLE (
        org_id uuid, user_id uuid, email text, name text, role text, status text, password_hash text,
        last_login_at timestamptz, created_at timestamptz
    )
    LANGUAGE sql STABLE
AS $$
    SELECT u.org_id, u.id, u.email, u.name, u.role, u.status, u.password_hash, u.last_login_at, u.created_at
      FROM email_directory d
      JOIN users u ON u.org_id = d.org_id AND u.id = d.user_id
     WHERE d.email_folded = fold(address)
$$;
SELECT hand_to_directory('find_login(text)');

-- The organisation whose refresh token has this SHA-256, or NULL.
CREATE FUNCTION find_refresh_token(token_hash bytea) RETURNS uuid
    LANGUAGE sql STABLE
    AS 'SELECT org_id FROM refresh_directory WHERE hash = token_hash';
SELECT hand_to_directory('find_refresh_token(bytea)');

-- The pending invite whose token has this SHA-256; no row for an unknown, used, revoked or expired one.
CREATE FUNCTION find_invite(token_hash bytea)
    RETURNS TABLE (org_id uuid, invite_id uuid, email text, role text, expires_at timestamptz)
    LANGUAGE sql STABLE
AS $$
    SELECT i.org_id, i.id, i.email, i.role, i.expires_at
      FROM invite_directory d
      JOIN invites i ON i.org_id = d.org_id AND i.token_hash = d.hash AND i.status = 'pending' AND i.expires_at > now()
     WHERE d.hash = find_invite.token_hash
$$;
SELECT hand_to_directory('find_invite(bytea)');
