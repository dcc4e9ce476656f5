import Foundation
import Functions
import Postgres
import Queue
import Security

/// An erased person, by what tells their jobs from others' for as long as those may turn up: keyed digests of their ids.
enum Erasure {
    typealias ID = Identifier<Erasure>

    /// The digest of one id: `phone`, `email`, `handle` or `external`, which holds on one channel or (`nil`) everywhere.
    static func digest(
        _ channel: Channel.ID?,
        _ kind: String,
        _ value: String,
        in organisation: Organisation.ID,
        with sealed: Sealed
    ) -> [UInt8] {
        sealed.digest(
            "\(channel?.description ?? "")\u{0}\(kind)\u{0}\(value.lowercased())",
            for: "erased:\(organisation)"
        )
    }

    /// The digests of the sender of a job's data, or of none where it can't be read.
    static func digests(ofJob data: String, in organisation: Organisation.ID, with sealed: Sealed) -> [[UInt8]] {
        guard let job = try? JSON.parse(data), let sender = job["sender"],  // unreadable: nobody's
            let channel = job["channelId"]?.string.flatMap({ Channel.ID($0) })
        else { return [] }
        let ids: [(Channel.ID?, String, String?)] = [
            (nil, "phone", sender["phone"]?.string.flatMap(PhoneNumber.normalised)),
            (channel, "handle", sender["handle"]?.string),
            (channel, "external", sender["externalId"]?.string),
        ]
        return ids.compactMap { scope, kind, value in
            value.map { digest(scope, kind, $0, in: organisation, with: sealed) }
        }
    }

    /// Takes the jobs that were accepted before an erasure out of the queue, and says so in its row.
    ///
    /// Done twice it does no harm.
    static func clearQueue(of erasure: ID, in scope: OrganisationScope) async throws {
        let organisation = scope.organisation
        let results = try await scope.run([
            "SELECT accepted_until FROM erasures WHERE org_id = \(organisation) AND id = \(erasure)",
            "SELECT hash FROM erased_identities WHERE org_id = \(organisation) AND erasure_id = \(erasure)",
        ])
        guard let row = results[0].first else { return }
        let hashes = Set(try results[1].map { try $0.get("hash", as: [UInt8].self) })
        let sealed = scope.services.sealed
        try await scope.services.producer.remove(
            from: ReceiveMessage.queue,
            of: organisation.uuid,
            acceptedUntil: try row.get("accepted_until")
        ) { data in
            digests(ofJob: data, in: organisation, with: sealed).contains(where: hashes.contains)
        }
        _ = try await scope.query(
            "UPDATE erasures SET cleared_at = now() WHERE org_id = \(organisation) AND id = \(erasure)"
        )
    }
}
