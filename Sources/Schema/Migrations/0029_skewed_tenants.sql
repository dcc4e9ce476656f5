-- A statement that is planned once for all organisations is planned for their mean. Among a thousand small ones the mean is a few
-- dozen tickets, and plans for that read all tickets of the large one, whose pages then took a second. Told that there are only a
-- handful of organisations, the planner reads a page by its index for everybody, which costs the small ones nothing.
DO $$
DECLARE
    tenant regclass;
BEGIN
    FOR tenant IN
        SELECT c.oid
          FROM pg_class c
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'org_id' AND NOT a.attisdropped
         WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
         ORDER BY c.relname
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN org_id SET (n_distinct = 4)', tenant);
        -- Not an empty one: it would count as empty for the planner until it is analysed again.
        IF pg_relation_size(tenant) > 0 THEN
            EXECUTE format('ANALYZE %s', tenant);
        END IF;
    END LOOP;
END
$$;
