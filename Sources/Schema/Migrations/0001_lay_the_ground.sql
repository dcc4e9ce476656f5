-- Roles, and the few functions that every later migration and every statement leans on.
--
-- Three roles have a part. The owner is whoever migrates: it owns the tables and needs no superuser, only CREATEROLE
-- (or an administrator who has made the two roles below). `delightchat_app` is a group without log-in that holds every
-- grant; the log-in of DATABASE_URL is a member of it. `delightchat_directory` owns the SECURITY DEFINER functions that
-- must look beyond one organisation; nobody logs in as it, and it reaches only the columns that its functions name.

DO $$
DECLARE
    wanted text;
BEGIN
    IF NOT has_schema_privilege('public', 'CREATE') OR NOT has_database_privilege(current_database(), 'CREATE') THEN
        RAISE EXCEPTION 'role % may not create objects in the schema public of database %',
            current_user, current_database()
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = format('Make it the owner: ALTER DATABASE %I OWNER TO %I;', current_database(), current_user);
    END IF;
    FOREACH wanted IN ARRAY ARRAY['delightchat_app', 'delightchat_directory'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION
                -- Another database of this cluster migrates right now.
                WHEN duplicate_object OR unique_violation THEN NULL;
                WHEN insufficient_privilege THEN
                    RAISE EXCEPTION 'role % may not create the role %', current_user, wanted
                        USING ERRCODE = 'insufficient_privilege',
                              DETAIL = format(
                                  'As an administrator: ALTER ROLE %I CREATEROLE; or: '
                                      'CREATE ROLE %I NOLOGIN; GRANT %I TO %I WITH ADMIN OPTION;',
                                  current_user, wanted, wanted, current_user
                              );
            END;
        END IF;
    END LOOP;
    IF EXISTS (
        SELECT FROM pg_roles
         WHERE rolname IN ('delightchat_app', 'delightchat_directory') AND (rolsuper OR rolbypassrls)
    ) THEN
        RAISE EXCEPTION 'the roles delightchat_app and delightchat_directory may be neither SUPERUSER nor BYPASSRLS'
            USING DETAIL = 'ALTER ROLE … NOSUPERUSER NOBYPASSRLS;';
    END IF;
    -- To hand its functions over to the directory role, the owner must be a member of it.
    IF NOT pg_has_role(current_user, 'delightchat_directory', 'USAGE') THEN
        BEGIN
            EXECUTE format('GRANT delightchat_directory TO %I', current_user);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE EXCEPTION 'role % is no member of delightchat_directory', current_user
                USING ERRCODE = 'insufficient_privilege',
                      DETAIL = format('As an administrator: GRANT delightchat_directory TO %I;', current_user);
        END;
    END IF;
END
$$;

-- What is not granted is not allowed: grants are written out with each object.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO delightchat_app, delightchat_directory;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- GIN indexes led by org_id, for the full-text search. Comes with PostgreSQL's contrib and is trusted: no superuser
-- needed.
CREATE EXTENSION IF NOT EXISTS btree_gin WITH SCHEMA public;

-- The one way in which text is compared without regard to case; stored in …_folded columns, because lower() on a column
-- uses no index under row-level security.
CREATE FUNCTION fold(value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN lower(value);

-- Version 7 of RFC 9562, for rows that a statement makes by itself; Swift makes its own.
CREATE FUNCTION uuid_v7() RETURNS uuid
    LANGUAGE sql VOLATILE PARALLEL SAFE
    RETURN encode(
        set_bit(
            set_bit(
                overlay(
                    uuid_send(gen_random_uuid())
                    PLACING substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                    FROM 1 FOR 6
                ),
                52, 1
            ),
            53, 1
        ),
        'hex'
    )::uuid;

-- The wall clock in microseconds since 1970: what messages are ordered by.
CREATE FUNCTION now_micros() RETURNS bigint
    LANGUAGE sql VOLATILE PARALLEL SAFE
    RETURN floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint;

GRANT EXECUTE ON FUNCTION fold(text), uuid_v7(), now_micros() TO delightchat_app, delightchat_directory;

-- Opens the database for one organisation until the transaction ends: workers, and functions that need no session.
CREATE FUNCTION enter_organisation(org uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    PERFORM set_config('app.org_id', org::text, true);
END
$$;
GRANT EXECUTE ON FUNCTION enter_organisation(uuid) TO delightchat_app;

-- For migrations only, from here to the end.

-- Shuts a tenant's table: forced row-level security, one policy, and these grants to the application. The owner passes
-- only as a member of the directory role, which lets later migrations fill columns. `key` names the column that holds
-- the organisation.
CREATE FUNCTION protect_table(target regclass, privileges text, key text DEFAULT 'org_id') RETURNS void
    LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', target);
    -- After a transaction an unset setting is '' and not NULL, and ''::uuid raises: hence nullif.
    EXECUTE format(
        'CREATE POLICY tenant ON %1$s USING (%2$I = nullif(current_setting(''app.org_id'', true), '''')::uuid) '
        'WITH CHECK (%2$I = nullif(current_setting(''app.org_id'', true), '''')::uuid)',
        target, key
    );
    EXECUTE format('REVOKE ALL ON %s FROM PUBLIC', target);
    EXECUTE format('GRANT %s ON %s TO delightchat_app', privileges, target);
END
$$;

-- Lets the directory role use a table across organisations, with column grants such as 'SELECT (org_id, id)'.
CREATE FUNCTION open_to_directory(target regclass, privileges text) RETURNS void
    LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = target AND polname = 'directory') THEN
        EXECUTE format('CREATE POLICY directory ON %s TO delightchat_directory USING (true) WITH CHECK (true)', target);
    END IF;
    EXECUTE format('GRANT %s ON %s TO delightchat_directory', privileges, target);
END
$$;

-- Makes a function the directory's: SECURITY DEFINER, a fixed search_path, callable by the application alone (a
-- trigger's function by nobody). A later CREATE OR REPLACE must be followed by this again.
CREATE FUNCTION hand_to_directory(target regprocedure) RETURNS void
    LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp', target);
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', target);
    IF (SELECT prorettype <> 'trigger'::regtype FROM pg_proc WHERE oid = target) THEN
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO delightchat_app', target);
    END IF;
    -- An owner of functions needs CREATE on their schema at the moment when it becomes so, and no longer.
    GRANT CREATE ON SCHEMA public TO delightchat_directory;
    EXECUTE format('ALTER FUNCTION %s OWNER TO delightchat_directory', target);
    REVOKE CREATE ON SCHEMA public FROM delightchat_directory;
END
$$;
