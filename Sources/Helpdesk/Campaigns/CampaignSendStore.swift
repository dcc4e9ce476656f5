import Connectors
import Foundation
import Functions
import Postgres
import Security

/// The statements that send one campaign, for one holder of ranges.
struct CampaignSendStore: Sendable {
    /// Seconds a range is held without a step; longer than any connector may take to send one message. Also how long evidence of
    /// a send whose answer was lost may take to arrive.
    static let lease = 60

    /// Recipients in a range.
    private static let size = 500

    private let organisation: Organisation.ID
    private let campaign: Campaign.ID
    private let holder: UUID

    init(_ organisation: Organisation.ID, campaign: Campaign.ID, holder: UUID) {
        self.organisation = organisation
        self.campaign = campaign
        self.holder = holder
    }

    /// Takes the next range; see `claim_campaign_batch`.
    var claim: SQL {
        """
        SELECT *
          FROM claim_campaign_batch(
                   \(organisation)::uuid, \(campaign)::uuid, \(holder)::uuid, \(Self.size)::integer,
                   \(SendCampaignBatch.parallelism)::integer, make_interval(secs => \(Self.lease)::integer)
               )
        """
    }

    /// Records the attempts of the next recipients of a range; see `begin_campaign_sends`.
    func begin(_ range: CampaignRange, most: Int) -> SQL {
        """
        SELECT *
          FROM begin_campaign_sends(
                   \(organisation)::uuid, \(campaign)::uuid, \(holder)::uuid, \(range.first)::bigint, \(range.last)::bigint,
                   \(most)::integer, make_interval(secs => \(Self.lease)::integer)
               )
        """
    }

    /// Writes what became of attempts, and what the provider had told of them before; one of the answers has `pending`, how many
    /// recipients are left.
    func settle(_ results: [CampaignSendResult], on channel: Channel.ID) -> [SQL] {
        let stopped = results.filter { $0.outcome == "optedOut" }.map(\.recipient.uuid)
        // Contacts first, as everywhere.
        let optingOut: [SQL] =
            stopped.isEmpty
            ? []
            : [
                """
                UPDATE contacts AS k
                   SET opted_out = true, opted_out_changed_at = now_micros(), updated_at = now()
                  FROM campaign_recipients AS r
                 WHERE r.org_id = \(organisation) AND r.id = ANY (\(stopped)::uuid[])
                   AND k.org_id = r.org_id AND k.id = r.contact_id AND NOT k.opted_out
                """
            ]
        let aliases = results.filter { $0.alias != nil }
        let naming: [SQL] =
            aliases.isEmpty
            ? []
            : [
                """
                SELECT name_person(r.org_id, \(channel)::uuid, r.contact_id, x.person::jsonb)
                  FROM unnest(\(aliases.map(\.recipient.uuid))::uuid[], \(aliases.map { $0.alias?.json.text })::text[])
                    AS x (id, person)
                  JOIN campaign_recipients AS r ON r.org_id = \(organisation) AND r.id = x.id
                 ORDER BY x.person
                """
            ]
        let externalIds = results.compactMap(\.externalId)
        let early: [SQL] =
            externalIds.isEmpty
            ? []
            : [
                """
                SELECT apply_early_campaign_statuses(\(organisation)::uuid, \(channel)::uuid, \(externalIds)::text[])
                """
            ]
        return optingOut + naming + [
            """
            SELECT settle_campaign_sends(
                       \(organisation)::uuid, \(campaign)::uuid, \(results.map(\.recipient.uuid))::uuid[],
                       \(results.map(\.outcome))::text[], \(results.map(\.externalId))::text[],
                       \(results.map(\.fault?.code))::text[], \(results.map(\.fault?.message))::text[],
                       \(results.map(\.rendered.text))::text[], \(results.map(\.rendered.template))::text[],
                       \(results.map(\.pause))::double precision[]
                   ) AS pending
            """
        ] + early
    }

    /// The recipients of a range whose attempts were never answered and whose message the provider has told of: the columns of
    /// ``CampaignSend`` and `external_id`.
    func proven(_ range: CampaignRange) -> SQL {
        """
        SELECT DISTINCT ON (r.id)
               r.id AS recipient_id, r.attempts, r.first_attempted_at, r.name, r.phone, r.handle, r.variables,
               k.name AS contact_name, k.phone AS contact_phone, k.handle AS contact_handle, NULL::text AS external_user,
               NULL::timestamptz AS last_inbound_provider_at, e.external_id
          FROM campaign_recipients AS r
          JOIN contacts AS k ON k.org_id = r.org_id AND k.id = r.contact_id
          JOIN early_statuses AS e ON e.org_id = r.org_id AND e.message_id = r.id AND e.channel_id = \(range.channel)
         WHERE r.org_id = \(organisation) AND r.campaign_id = \(campaign) AND r.status = 'pending'
           AND r.position BETWEEN \(range.first) AND \(range.last) AND r.attempts > 0 AND r.next_attempt_at IS NULL
         ORDER BY r.id, e.created_at
        """
    }

    /// Decides about attempts in the range that were never answered; see `recover_campaign_batch`.
    func recover(_ range: CampaignRange, resend: Bool) -> SQL {
        """
        SELECT recover_campaign_batch(
                   \(organisation)::uuid, \(campaign)::uuid, \(range.first)::bigint, \(range.last)::bigint, \(resend)::boolean
               )
        """
    }

    /// Gives the range back.
    func finish(_ range: CampaignRange) -> SQL {
        """
        SELECT finish_campaign_batch(
                   \(organisation)::uuid, \(campaign)::uuid, \(holder)::uuid, \(range.first)::bigint, \(range.last)::bigint
               )
        """
    }

    var complete: SQL { CampaignStore(organisation).complete(campaign) }

    /// Stops the campaign until a person resumes it, because its message itself is refused.
    func pause(_ fault: SendFault) -> SQL {
        """
        WITH paused AS (
            UPDATE campaigns
               SET status = 'paused', updated_at = now()
             WHERE org_id = \(organisation) AND id = \(campaign) AND status = 'running'
            RETURNING id
        )
        INSERT INTO events (org_id, type, entity_id, payload)
        SELECT \(organisation)::uuid, 'campaign.updated', id,
               jsonb_build_object(
                   'fields', '["status"]'::jsonb,
                   'status', jsonb_build_object('from', 'running', 'to', 'paused'), 'error', \(fault.code)::text
               )
          FROM paused
        """
    }

    /// Stops every campaign on the channel until a person resumes it.
    func pauseAll(on channel: Channel.ID, _ fault: SendFault) -> SQL {
        """
        WITH paused AS (
            UPDATE campaigns
               SET status = 'paused', updated_at = now()
             WHERE org_id = \(organisation) AND channel_id = \(channel) AND status = 'running'
            RETURNING id
        )
        INSERT INTO events (org_id, type, entity_id, payload)
        SELECT \(organisation)::uuid, 'campaign.updated', id,
               jsonb_build_object(
                   'fields', '["status"]'::jsonb,
                   'status', jsonb_build_object('from', 'running', 'to', 'paused'), 'error', \(fault.code)::text
               )
          FROM paused
        """
    }

    /// Marks the channel as out of order.
    func hold(_ channel: Channel.ID, _ fault: SendFault) -> SQL {
        DeliveryStore.holding(channel, fault, in: organisation)
    }

    var id: Campaign.ID { campaign }
}

/// What there is to do for a campaign, as `claim_campaign_batch` decided it.
enum CampaignStep: Sendable {
    case send(CampaignRange)
    case later(Date)
    /// Nobody is left.
    case finished
    /// Those who are left end with this status.
    case end(String)
    /// It doesn't run, waits for a person, or enough others are at it.
    case idle

    init(_ rows: PostgresRows, _ sealed: Sealed) throws {
        guard let row = rows.first else {
            self = .idle
            return
        }
        switch try row.get("state", as: String.self) {
        case "send": self = .send(try CampaignRange(row, sealed))
        case "later": self = .later(try row.get("due_at"))
        case "done": self = .finished
        case "end": self = .end(try row.get("outcome"))
        default: self = .idle
        }
    }
}

/// Recipients by their positions, taken by one holder, with what is needed to send to them.
struct CampaignRange: Sendable {
    let first: Int
    let last: Int
    /// Its last holder died, so attempts may be there that were never answered.
    let isOrphaned: Bool
    let message: CampaignMessage
    let perSecond: Int
    let channel: Channel.ID
    let kind: Channel.Kind
    let account: ChannelAccount
    let quietHours: QuietHours?

    init(_ row: PostgresRow, _ sealed: Sealed) throws {
        first = try row.get("first_position")
        last = try row.get("last_position")
        isOrphaned = try row.get("is_orphaned")
        message = CampaignMessage(try JSON.parse(row.get("message", as: String.self)))
        perSecond = try row.get("per_second")
        channel = try row.get("channel_id")
        guard let kind = Channel.Kind(rawValue: try row.get("channel_type")) else {
            throw UnknownChannelKind(channel: channel)
        }
        self.kind = kind
        account = ChannelAccount(
            channel,
            settings: try row.get("settings"),
            credentials: try ChannelCredentials.open(row.optional("credentials"), of: channel, with: sealed)
        )
        quietHours = QuietHours(try row.optional("quiet_hours", as: String.self).map { try JSON.parse($0) })
    }

    var connector: any Connector { Connectors.connector(for: kind.rawValue) }
}

/// A recipient whose attempt has begun.
struct CampaignSend: Sendable {
    let id: Recipient.ID
    let attempts: Int
    let firstAttemptedAt: Date
    let values: RecipientValues
    let recipient: OutboundMessage.Recipient
    let lastInboundAt: Date?

    init(_ row: PostgresRow) throws {
        id = try row.get("recipient_id")
        attempts = try row.get("attempts")
        firstAttemptedAt = try row.get("first_attempted_at")
        let phone = try row.optional("phone", as: String.self)
        let handle = try row.optional("handle", as: String.self)
        let known = try row.optional("contact_name", as: String.self)
        let contactPhone = try row.optional("contact_phone", as: String.self)
        let contactHandle = try row.optional("contact_handle", as: String.self)
        // A contact is called by an id only until a name is known.
        let name = known.flatMap { [contactPhone, contactHandle].contains($0) ? nil : $0 }
        values = RecipientValues(
            name: try row.optional("name") ?? name,
            phone: phone ?? contactPhone,
            handle: handle ?? contactHandle,
            variables: try JSON.parse(row.get("variables", as: String.self))
        )
        recipient = OutboundMessage.Recipient(
            phone: phone ?? contactPhone,
            handle: handle ?? contactHandle,
            externalId: try row.optional("external_user")
        )
        lastInboundAt = try row.optional("last_inbound_provider_at")
    }
}

/// What became of one attempt, for the database.
struct CampaignSendResult: Sendable {
    let recipient: Recipient.ID
    /// A recipient's status; `pending` to be tried again after ``pause``, `deferred` where no attempt was made.
    let outcome: String
    var externalId: String?
    var fault: SendFault?
    var rendered = CampaignMessage.Rendered()
    /// Another number by which the provider knows the recipient.
    var alias: Sender?
    /// In seconds.
    var pause = 0.0
}
