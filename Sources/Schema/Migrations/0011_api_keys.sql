-- Keys with which machines call the API. A key's text names its organisation, its id and its role, so that checking it needs no
-- look-up before the organisation is entered; what is stored is the text's SHA-256.

CREATE TABLE api_keys (
    org_id uuid NOT NULL REFERENCES organisations (id),
    id uuid NOT NULL DEFAULT uuid_v7(),
    name text NOT NULL,
    role text NOT NULL CHECK (role IN ('admin', 'agent')),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    -- The beginning of the text, by which people recognise it.
    prefix text NOT NULL,
    expires_at timestamptz,
    last_used_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, id)
);
CREATE INDEX api_keys_by_creation ON api_keys (org_id, created_at, id);
SELECT protect_table('api_keys', 'SELECT, INSERT, UPDATE, DELETE');

-- Opens the database for a request that carries an API key until the transaction ends, or raises DC401: the key was deleted, has
-- expired, or was never given out. Meant to be the first statement of a pipeline, as enter_organisation is.
CREATE FUNCTION enter_with_api_key(org uuid, key uuid, key_hash bytea, key_role text) RETURNS void
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    used timestamptz;
BEGIN
    PERFORM set_config('app.org_id', org::text, true);
    SELECT k.last_used_at
      INTO used
      FROM api_keys k
     WHERE k.org_id = org AND k.id = key AND k.hash = key_hash AND k.role = key_role
       AND (k.expires_at IS NULL OR k.expires_at > now());
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the API key is not valid' USING ERRCODE = 'DC401';
    END IF;
    -- Once a minute is enough to see which keys are in use; a request that meets another one's mark goes on without its own.
    IF used IS NULL OR used < now() - interval '1 minute' THEN
        UPDATE api_keys k
           SET last_used_at = now()
          FROM (
                SELECT x.id
                  FROM api_keys x
                 WHERE x.org_id = org AND x.id = key AND x.last_used_at IS NOT DISTINCT FROM used
                   FOR NO KEY UPDATE SKIP LOCKED
               ) mine
         WHERE k.org_id = org AND k.id = mine.id;
    END IF;
END
$$;
GRANT EXECUTE ON FUNCTION enter_with_api_key(uuid, uuid, bytea, text) TO delightchat_app;

-- NULL: an API key invited.
ALTER TABLE invites ALTER COLUMN invited_by DROP NOT NULL;
