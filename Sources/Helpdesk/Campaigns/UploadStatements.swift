import Functions
import Postgres

/// The statements that make contacts, identities and recipients of rows that were uploaded.
struct UploadStatements {
    let organisation: Organisation.ID
    let campaign: Campaign.ID
    let channel: Channel.ID
    /// How many recipients the campaign has.
    let total: Int

    /// Where the rows are copied to.
    static let table: SQL = """
        CREATE TEMPORARY TABLE upload (
            row bigint, phone text, handle text, name text, variables jsonb,
            address text GENERATED ALWAYS AS (coalesce(phone, '@' || fold(handle))) STORED
        ) ON COMMIT DROP
        """

    static let copy: SQL = "COPY upload (row, phone, handle, name, variables) FROM STDIN"

    /// The third makes contacts and the fourth their identities, of which there must be as many; the last answers `added` and
    /// `opted_out`.
    var all: [SQL] {
        [
            "ANALYZE upload",
            audience,
            """
            INSERT INTO contacts (org_id, id, name, phone, handle)
            SELECT \(organisation)::uuid, a.contact_id, coalesce(a.name, a.phone, a.handle), a.phone, a.handle
              FROM audience AS a
             WHERE a.is_new
            """,
            """
            INSERT INTO contact_identities (org_id, channel_id, kind, value, contact_id)
            SELECT \(organisation)::uuid, CASE WHEN a.phone IS NULL THEN \(channel)::uuid END,
                   CASE WHEN a.phone IS NULL THEN 'handle' ELSE 'phone' END, coalesce(a.phone, fold(a.handle)), a.contact_id
              FROM audience AS a
             WHERE a.is_new
             ORDER BY 2 NULLS FIRST, 3, 4
            ON CONFLICT DO NOTHING
            """,
            """
            INSERT INTO campaign_recipients
                   (org_id, campaign_id, position, contact_id, address, name, phone, handle, variables, status)
            SELECT \(organisation)::uuid, \(campaign)::uuid, \(total)::bigint + row_number() OVER (ORDER BY a.row), a.contact_id,
                   a.address, a.name, a.phone, a.handle, a.variables, CASE WHEN a.opted_out THEN 'optedOut' ELSE 'pending' END
              FROM audience AS a
            """,
            """
            UPDATE campaign_counters AS n
               SET total = n.total + a.added, pending = n.pending + a.added - a.opted_out,
                   opted_out = n.opted_out + a.opted_out
              FROM (SELECT count(*) AS added, count(*) FILTER (WHERE opted_out) AS opted_out FROM audience) AS a
             WHERE n.org_id = \(organisation) AND n.campaign_id = \(campaign)
            RETURNING a.added, a.opted_out
            """,
        ]
    }

    /// The rows that make a recipient, each with its contact: one for an address, one for a contact, the first of the file, and
    /// nobody who is in the campaign.
    private var audience: SQL {
        """
        CREATE TEMPORARY TABLE audience ON COMMIT DROP AS
        SELECT f.row, f.address, f.phone, f.handle, f.name, f.variables, coalesce(f.contact_id, uuid_v7()) AS contact_id,
               f.contact_id IS NULL AS is_new, coalesce(k.opted_out, false) AS opted_out
          FROM (
                SELECT u.row, u.address, u.phone, u.handle, u.name, u.variables, i.contact_id,
                       row_number() OVER (PARTITION BY coalesce(i.contact_id::text, u.address) ORDER BY u.row) AS nth
                  FROM upload AS u
                  LEFT JOIN contact_identities AS i
                    ON i.org_id = \(organisation)::uuid
                   AND i.scope = CASE WHEN u.phone IS NULL THEN \(channel)::uuid
                                      ELSE '00000000-0000-0000-0000-000000000000'::uuid END
                   AND i.kind = CASE WHEN u.phone IS NULL THEN 'handle' ELSE 'phone' END
                   AND i.value = coalesce(u.phone, fold(u.handle))
               ) AS f
          LEFT JOIN contacts AS k ON k.org_id = \(organisation)::uuid AND k.id = f.contact_id
         WHERE f.nth = 1
           AND NOT EXISTS (
                   SELECT FROM campaign_recipients AS r
                    WHERE r.org_id = \(organisation)::uuid AND r.campaign_id = \(campaign)::uuid AND r.address = f.address
               )
           AND NOT EXISTS (
                   SELECT FROM campaign_recipients AS r
                    WHERE r.org_id = \(organisation)::uuid AND r.campaign_id = \(campaign)::uuid AND r.contact_id = f.contact_id
               )
        """
    }
}
