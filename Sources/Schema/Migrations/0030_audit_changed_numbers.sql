-- That a changed number made one contact of two is in the audit log, as it is where an admin does it.

-- As before; besides, a merge has its entry. Has a contact go by new ids from that moment on. False where nobody is known by the
-- old or the new ones yet.
CREATE OR REPLACE FUNCTION change_identity(org uuid, channel uuid, person jsonb, successor jsonb, at timestamptz) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    old_number text := person ->> 'phone';
    successor_now jsonb := as_known(org, channel, successor, at);
    who uuid := find_person(org, channel, as_known(org, channel, person, at));
    heir uuid := find_person(org, channel, successor_now);
BEGIN
    IF who IS NULL AND heir IS NULL THEN
        RETURN false;
    END IF;
    IF who <> heir THEN
        -- Whoever had the new number before is somebody else, and whose it is now an admin must say.
        IF EXISTS (
            SELECT FROM contacts k WHERE k.org_id = org AND k.id = heir AND k.created_at < at
        ) THEN
            RETURN true;
        END IF;
        -- Known by a message that came first. The one that was there longer stays.
        IF merge_contacts(org, greatest(who, heir), least(who, heir)) = 'merged' THEN
            INSERT INTO audit (org_id, actor_type, action, entity_type, entity_id, changes)
            VALUES (
                org, 'system', 'contact.merge', 'contact', least(who, heir),
                jsonb_build_object('contactId', jsonb_build_object('from', greatest(who, heir), 'to', least(who, heir)))
            );
        END IF;
        who := least(who, heir);
    END IF;
    who := coalesce(who, heir);
    IF successor ->> 'phone' <> old_number THEN
        DELETE FROM contact_identities i
         WHERE i.org_id = org AND i.scope = '00000000-0000-0000-0000-000000000000' AND i.kind = 'phone'
           AND i.value = old_number AND i.contact_id = who;
        INSERT INTO contact_identities AS i (org_id, channel_id, kind, value, contact_id, changed_at)
        VALUES (org, channel, 'former', old_number, who, at)
        ON CONFLICT (org_id, scope, kind, value) DO UPDATE
           SET contact_id = excluded.contact_id, changed_at = excluded.changed_at
         WHERE i.changed_at < excluded.changed_at;
        UPDATE contacts k
           SET name = n.name, phone = n.phone, updated_at = now()
          FROM (
                SELECT CASE
                           WHEN c.name = c.phone OR EXISTS (
                               SELECT FROM contact_identities i
                                WHERE i.org_id = org AND i.contact_id = who AND i.kind = 'former' AND i.value = c.name
                           ) THEN coalesce(successor_now ->> 'phone', c.name)
                           ELSE c.name
                       END AS name,
                       coalesce(successor_now ->> 'phone', nullif(c.phone, old_number)) AS phone
                  FROM contacts c
                 WHERE c.org_id = org AND c.id = who
               ) n
         WHERE k.org_id = org AND k.id = who AND (k.name, k.phone) IS DISTINCT FROM (n.name, n.phone);
    END IF;
    -- Ids that are never given to somebody else stay; the old number doesn't.
    PERFORM name_person(org, channel, who, person - 'phone' - 'handle');
    PERFORM name_person(org, channel, who, successor_now);
    RETURN true;
END
$$;
